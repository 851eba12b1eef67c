"""Markdown as plain text: what is read and not how it is marked. Knows the parser's tokens, no widget."""

from markdown_it.token import Token

from app.ui.markdown_blocks import Block, CodeText, MarkdownStream, ProseBlock, TableBlock
from app.ui.visible_text import in_code, in_prose


def plain_words(markdown: str) -> str:
    """The words of a text in markdown, line for line as they are shown."""
    stream = MarkdownStream()
    blocks: list[Block] = []
    while True:
        cut = stream.grown(markdown, complete=True)
        blocks += cut.closed
        if not cut.behind:
            break
    words: list[str] = []
    for at, block in enumerate(blocks):
        if at:
            words.append(_between(blocks[at - 1], block))
        words.append(in_code(block.text) if isinstance(block, CodeText) else _lines(stream.tokens(block), block))
    return "".join(words)


def _between(above: Block, block: Block) -> str:
    if isinstance(above, ProseBlock) and isinstance(block, ProseBlock) and above.goes_on:
        return "" if above.number is None and not above.source.endswith("\n") else "\n"
    if isinstance(above, CodeText) and isinstance(block, CodeText) and not block.first:
        return "" if above.joined else "\n"
    return "\n" if isinstance(block, TableBlock) and not block.first else "\n\n"


def _lines(tokens: tuple[Token, ...], block: ProseBlock | TableBlock) -> str:  # noqa: C901  (a table)
    lines: list[str] = []
    cells: list[str] = []
    marks: list[int | None] = []
    mark = note = ""
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
            case "note_open":
                note = f"[{token.info}] "
            case "tr_open":
                cells = []
            case "tr_close":
                lines.append("\t".join(cells))
            case "inline" if isinstance(block, TableBlock):
                cells.append(_inline(token))
            case "inline":
                lines.append(note + mark + _inline(token))
                mark = note = ""
            case "math_block":
                lines.append(token.content.rstrip("\n"))
    if isinstance(block, TableBlock) and not block.first:
        lines = lines[1:]
    return "\n".join(lines)


def _inline(token: Token) -> str:
    words = []
    for child in token.children or []:
        if child.type in ("softbreak", "hardbreak"):
            words.append("\n")
        elif child.type == "code_inline":
            words.append(in_code(child.content))
        elif child.type == "note":
            words.append(f"[{child.content}]")
        else:
            words.append(in_prose(child.content))
    return "".join(words)
