"""What a file dialog offers."""

from app.chat.attachments import dialog_patterns


def test_patterns_are_separate_words_in_both_cases() -> None:
    patterns = dialog_patterns().split(" ")
    assert {"*.png", "*.JPG", "*.webp", "*.gif", "*.mp4", "*.MOV", "*.webm", "*.mkv"} <= set(patterns)
    assert all(pattern.startswith("*.") for pattern in patterns)
