"""Every relative link of README.md and docs/*.md leads to a file, and to a heading of it where it names one."""
import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1])
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def prose(page):
    """The page without fenced blocks and code spans, which hold no links."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.S | re.M)
    return re.sub(r"`[^`\n]*`", "", text)


def anchors(page):
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", h.lower()).strip().replace(" ", "-") for h in headings}


pages = [root / "README.md", *sorted((root / "docs").glob("*.md"))]
assert all(page.exists() for page in pages)
checked, broken = 0, []
for page in pages:
    for target in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        checked += 1
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        if not file.exists():
            broken.append(f"{page.relative_to(root)}: {target} does not exist")
        elif anchor and anchor not in anchors(file):
            broken.append(f"{page.relative_to(root)}: {target} has no such heading")
assert checked > 0, "no link was found"
if broken:
    sys.exit("broken links:\n  " + "\n  ".join(broken))
print(f"{checked} relative links of {len(pages)} pages")
