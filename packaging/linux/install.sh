#!/bin/sh
# Puts the Parley that lies beside this script into the menu of the person who runs it, or takes it out again.
#
#     ./install.sh            links it into ~/.local, where the folder is now
#     ./install.sh --remove   takes the links away; conversations, settings and models stay
#
# Nothing is copied and nothing outside ~/.local is touched: move the folder, and run this again.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
share=${XDG_DATA_HOME:-$HOME/.local/share}
entry=$share/applications/parley.desktop
picture=$share/icons/hicolor/scalable/apps/parley.svg
command=$HOME/.local/bin/parley

refresh() {
    if command -v update-desktop-database > /dev/null; then update-desktop-database -q "$share/applications" || true; fi
}

if [ "${1:-}" = --remove ]; then
    rm -f -- "$entry" "$picture"
    if [ -L "$command" ]; then rm -f -- "$command"; fi
    refresh
    echo "Parley is out of the menu. Remove the folder $here to free its space."
    echo "Conversations and settings are in $share/parley; remove that too if you want none of them."
    exit 0
fi
if [ -e "$command" ] && [ ! -L "$command" ]; then
    echo "$command is something else; move it away and run this again." >&2
    exit 1
fi
mkdir -p -- "$(dirname -- "$entry")" "$(dirname -- "$picture")" "$(dirname -- "$command")"
# In an entry, `%` and what a shell would read have to be quoted: a folder with a quotation mark cannot be named there.
case $here in *[\"\`\$\\%]*) echo "The folder's name has a character that menus cannot have: $here" >&2; exit 1 ;; esac
sed -e "s|^Exec=parley |Exec=\"$here/parley\" |" -e "s|^TryExec=.*|TryExec=$here/parley|" \
    "$here/share/parley.desktop" > "$entry"
cp -- "$here/share/parley.svg" "$picture"
ln -sfn -- "$here/parley" "$command"
refresh
echo "Parley is in the menu, and as 'parley' in $(dirname -- "$command")."
