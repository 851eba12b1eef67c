"""What models write beyond CommonMark, as rules for markdown-it: formulas in $, $$, \\( \\) and \\[ \\], and footnotes.

Knows how they are told from prices and brackets. Does not know how they are drawn. A footnote stays where it was
written, because a text that still grows has no end to move it to.
"""

import re

from markdown_it import MarkdownIt
from markdown_it.ruler import RuleOptionsType
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline

LONGEST = 2_000
"""Characters of a formula within a line; what is longer is text."""
MARKUP = {"$$": "$$", "\\[": "\\]", "$": "$", "\\(": "\\)"}
NOTES = "footnotes"
UNFINISHED = "unfinished formula"

_SIGNS = re.compile(r"[\\^_={}]")
_WORD = re.compile(r"[^\W\d_]{2,}")
_NOTE = re.compile(r"\[\^([\w-]{1,40})\]")
_DEFINITION = re.compile(r" {0,3}\[\^([\w-]{1,40})\]:[ \t]*")


def add_rules(parser: MarkdownIt) -> None:
    """Teach a parser formulas (`math_inline`, `math_display`, `math_block`) and footnotes (`note`, `note_open`)."""
    interrupts: RuleOptionsType = {"alt": ["paragraph", "reference", "blockquote", "list"]}
    parser.inline.ruler.before("escape", "maths", _maths)
    parser.inline.ruler.before("link", "note", _note)
    parser.block.ruler.before("fence", "maths_block", _maths_block, interrupts)
    parser.block.ruler.before("reference", "note_definition", _note_definition, interrupts)


def _maths(state: StateInline, silent: bool) -> bool:
    opening = next((mark for mark in MARKUP if state.src.startswith(mark, state.pos)), "")
    if not opening:
        return False
    begin = state.pos + len(opening)
    end = _closing(state.src, begin, MARKUP[opening])
    content = state.src[begin:end]
    if end < 0 or not content.strip() or (opening == "$" and not _is_formula(state.src, state.pos, end)):
        return False
    if not silent:
        token = state.push("math_display" if opening in ("$$", "\\[") else "math_inline", "math", 0)
        token.content, token.markup = content.strip(), opening
    state.pos = end + len(opening)
    return True


def _closing(text: str, begin: int, mark: str) -> int:
    end = text.find(mark, begin, begin + LONGEST)
    while mark[0] == "$" and end > begin and text[end - 1] == "\\":
        end = text.find(mark, end + 1, begin + LONGEST)
    return end


def _is_formula(text: str, opening: int, closing: int) -> bool:
    """Whether two dollar signs are a formula's and not those of $5 and $10."""
    content = text[opening + 1 : closing]
    before, after = text[opening - 1 : opening], text[closing + 1 : closing + 2]
    if content[0].isspace() or content[-1].isspace() or before.isalnum() or after.isalnum() or after == "$":
        return False
    return not (content[0].isdigit() and not _SIGNS.search(content) and _WORD.search(content))


def _maths_block(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    if state.is_code_block(start):
        return False
    first = state.src[state.bMarks[start] + state.tShift[start] : state.eMarks[start]].strip()
    opening = first[:2]
    if opening not in ("$$", "\\["):
        return False
    lines, line, closed = [first[2:]], start, False
    while True:
        text = lines[-1].rstrip()
        at = text.find(MARKUP[opening])
        if at >= 0:
            if text[at + 2 :].strip(" .,;"):
                return False
            lines[-1], closed = text[:at], True
            break
        line += 1
        if line >= end:
            break
        if state.isEmpty(line) or state.sCount[line] < state.blkIndent:
            return False
        lines.append(state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]])
    if silent:
        return True
    token = state.push("math_block", "math", 0)
    token.block, token.content, token.map = True, "\n".join(lines).strip(), [start, min(line + 1, end)]
    token.markup, token.info = opening, "" if closed else UNFINISHED
    state.line = min(line + 1, end)
    return True


def _note(state: StateInline, silent: bool) -> bool:
    found = _NOTE.match(state.src, state.pos)
    if found is None or not (found[1].isdigit() or found[1] in state.env.get(NOTES, ())):
        return False
    if not silent:
        state.push("note", "sup", 0).content = found[1]
    state.pos = found.end()
    return True


def _note_definition(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    found = _DEFINITION.match(state.src, state.bMarks[start], state.eMarks[start])
    if found is None or state.is_code_block(start):
        return False
    if silent:
        return True
    lines, line = [state.src[found.end() : state.eMarks[start]]], start + 1
    while line < end and not state.isEmpty(line):
        text = state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]]
        if _DEFINITION.match(text):
            break
        lines.append(text)
        line += 1
    state.env.setdefault(NOTES, set()).add(found[1])
    token = state.push("note_open", "p", 1)
    token.info, token.map, token.block = found[1], [start, line], True
    token = state.push("inline", "", 0)
    token.content, token.map, token.children = "\n".join(lines), [start, line], []
    state.push("note_close", "p", -1)
    state.line = line
    return True
