"""What a document shows, as plain text: what is copied from it. Knows our own formats, no markdown and no widget.

Bullets and numbers, which Qt draws beside the text, are written out; cells are kept apart by tabs; a formula becomes
its LaTeX.
"""

from PySide6.QtGui import QTextBlock, QTextCursor, QTextDocument, QTextFormat, QTextListFormat

from app.ui.formula_object import LATEX, OBJECT

JOINED = QTextFormat.Property.UserProperty.value + 20
"""Of a paragraph's format: it goes on in the next one."""
FILLER = JOINED + 1
"""Of a paragraph's format: nobody wrote it."""
GAP = 8
"""Pixels below a paragraph from which on it is seen as one of its own."""


def shown_text(document: QTextDocument, begin: int = 0, end: int | None = None) -> str:
    """What is shown between two places of a document."""
    end = document.characterCount() - 1 if end is None else end
    words: list[str] = []
    between = ""
    block = document.findBlock(begin)
    while block.isValid() and block.position() <= end:
        style = block.blockFormat()
        if not style.boolProperty(FILLER):
            column = _column(block)
            words.append("\t" if column and words else between)
            words.append(_block_text(block, begin, end))
            between = "" if style.boolProperty(JOINED) else "\n\n" if style.bottomMargin() >= GAP else "\n"
        block = block.next()
    return "".join(words)


def _column(block: QTextBlock) -> int:
    table = QTextCursor(block).currentTable()
    return table.cellAt(block.position()).column() if table is not None else 0


def _block_text(block: QTextBlock, begin: int, end: int) -> str:
    first, last = max(begin - block.position(), 0), min(end - block.position(), block.length() - 1)
    mark = _mark(block) if first == 0 and last > 0 else ""
    text = block.text()
    if OBJECT not in text:
        return mark + text[first:last].replace("\u2028", "\n")
    words = [mark]
    places = block.begin()
    while not places.atEnd():
        part = places.fragment()
        places += 1
        start = part.position() - block.position()
        inside = part.text()[max(0, first - start) : max(0, last - start)]
        latex = part.charFormat().stringProperty(LATEX)
        words.append(inside.replace(OBJECT, latex).replace("\u2028", "\n"))
    return "".join(words)


def _mark(block: QTextBlock) -> str:
    listed = block.textList()
    if listed is None:
        return ""
    indent = "  " * (listed.format().indent() - 1)
    numbered = listed.format().style() == QTextListFormat.Style.ListDecimal
    return f"{indent}{listed.itemText(block)} " if numbered else f"{indent}• "
