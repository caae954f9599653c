package hooks

import "strings"

// matches tells whether a routing key fits a pattern of a topic exchange: * stands for one word, # for
// any number of words, none too.
func matches(pattern, key string) bool {
	return matchWords(strings.Split(pattern, "."), strings.Split(key, "."))
}

// matchWords compares word by word. When a word does not fit it goes back to the last # and lets that
// take one word more, so that the time is bounded by the product of both lengths.
func matchWords(pattern, key []string) bool {
	p, k := 0, 0
	hash, from := -1, 0
	for k < len(key) {
		switch {
		case p < len(pattern) && pattern[p] == "#":
			hash, from = p, k
			p++
		case p < len(pattern) && (pattern[p] == "*" || pattern[p] == key[k]):
			p++
			k++
		case hash >= 0:
			from++
			p, k = hash+1, from
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == "#" {
		p++
	}
	return p == len(pattern)
}
