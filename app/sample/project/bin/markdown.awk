# A small part of Markdown: headings, paragraphs, lists, emphasis, code and links.

function close_block() {
	if (block != "") print "</" block ">"
	block = ""
}

function open_block(name) {
	if (block == name) return
	close_block()
	print "<" name ">"
	block = name
}

function inline(text,    out, part) {
	gsub(/&/, "\\&amp;", text)
	gsub(/</, "\\&lt;", text)
	gsub(/>/, "\\&gt;", text)
	while (match(text, /\[[^]]+\]\([^)]+\)/)) {
		part = substr(text, RSTART + 1, RLENGTH - 2)
		split(part, half, /\]\(/)
		out = out substr(text, 1, RSTART - 1) "<a href=\"" half[2] "\">" half[1] "</a>"
		text = substr(text, RSTART + RLENGTH)
	}
	text = out text
	while (match(text, /\*\*[^*]+\*\*/))
		text = substr(text, 1, RSTART - 1) "<strong>" substr(text, RSTART + 2, RLENGTH - 4) "</strong>" substr(text, RSTART + RLENGTH)
	while (match(text, /`[^`]+`/))
		text = substr(text, 1, RSTART - 1) "<code>" substr(text, RSTART + 1, RLENGTH - 2) "</code>" substr(text, RSTART + RLENGTH)
	return text
}

/^#+ /  { close_block(); level = length($1); sub(/^#+ /, ""); print "<h" level ">" inline($0) "</h" level ">"; next }
/^- /   { open_block("ul"); print "<li>" inline(substr($0, 3)) "</li>"; next }
/^    / { open_block("pre"); print inline(substr($0, 5)); next }
/^$/    { close_block(); next }
        { open_block("p"); print inline($0) }
END     { close_block() }
