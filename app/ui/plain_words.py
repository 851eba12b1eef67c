"""Markdown as plain text: what is read and not how it is marked. Knows the parser's tokens, no widget."""

from markdown_it.token import Token

from app.ui.markdown_blocks import CodeText, MarkdownStream


def plain_words(markdown: str) -> str:
    """The words of a text in markdown, line for line as they are shown."""
    blocks, _ = MarkdownStream().grown(markdown, complete=True)
    pieces = [block.text if isinstance(block, CodeText) else _lines(block.tokens) for block in blocks]
    return "\n\n".join(piece for piece in pieces if piece)


def _lines(tokens: tuple[Token, ...]) -> str:  # noqa: C901  (a table)
    lines: list[str] = []
    cells: list[str] = []
    marks: list[int | None] = []
    mark = ""
    for token in tokens:
        match token.type:
            case "bullet_list_open":
                marks.append(None)
            case "ordered_list_open":
                marks.append(int(token.attrs.get("start", 1)))
            case "bullet_list_close" | "ordered_list_close":
                marks.pop()
            case "list_item_open":
                number = marks[-1]
                mark = "  " * (len(marks) - 1) + ("- " if number is None else f"{number}. ")
                marks[-1] = None if number is None else number + 1
            case "tr_open":
                cells = []
            case "tr_close":
                lines.append("\t".join(cells))
            case "inline" if token.level and tokens[0].type == "table_open":
                cells.append(_inline(token))
            case "inline":
                lines.append(mark + _inline(token))
                mark = ""
            case "fence" | "code_block" | "math_block":
                lines.append(token.content.rstrip("\n"))
    return "\n".join(lines)


def _inline(token: Token) -> str:
    words = []
    for child in token.children or []:
        if child.type in ("softbreak", "hardbreak"):
            words.append("\n")
        else:
            words.append(child.content)
    return "".join(words)
