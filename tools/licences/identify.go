package licences

import (
	"regexp"
	"strings"
)

// marks are phrases that a licence has and the ones after it in the list, which differ by less, have not: the first
// whose phrases all occur is the one.
var marks = []struct {
	id      string
	phrases []string
}{
	{"Apache-2.0", []string{"apache license", "version 2.0", "grant of patent license"}},
	{"MPL-2.0", []string{"mozilla public license", "version 2.0"}},
	{"AGPL-3.0-only", []string{"gnu affero general public license"}},
	{"LGPL-3.0-only", []string{"gnu lesser general public license", "version 3"}},
	{"LGPL-2.1-only", []string{"gnu lesser general public license"}},
	{"GPL-3.0-only", []string{"gnu general public license", "version 3"}},
	{"GPL-2.0-only", []string{"gnu general public license"}},
	{"EPL-2.0", []string{"eclipse public license"}},
	{"Unlicense", []string{"released into the public domain", "anyone is free to copy"}},
	{"CC0-1.0", []string{"cc0 1.0 universal"}},
	{"BSD-3-Clause", []string{"redistribution and use in source and binary forms", "neither the name"}},
	{"BSD-3-Clause", []string{"redistribution and use in source and binary forms", "names of its contributors may not be used"}},
	{"BSD-3-Clause", []string{"redistribution and use in source and binary forms", "name of the author may not be used"}},
	{"BSD-2-Clause", []string{"redistribution and use in source and binary forms", "redistributions in binary form must"}},
	{"ISC", []string{"permission to use, copy, modify, and/or distribute this software for any purpose", "in all copies"}},
	{"ISC", []string{"permission to use, copy, modify, and distribute this software for any purpose", "in all copies"}},
	{"0BSD", []string{"permission to use, copy, modify, and/or distribute this software for any purpose"}},
	{"MIT", []string{"permission is hereby granted, free of charge, to any person obtaining a copy", "the above copyright notice"}},
	{"MIT-0", []string{"permission is hereby granted, free of charge, to any person obtaining a copy"}},
	{"Zlib", []string{"this software is provided 'as-is'", "altered source versions"}},
	{"Apache-2.0", []string{"licensed under the apache license, version 2.0"}},
	{"Apache-2.0", []string{"http://www.apache.org/licenses/license-2.0"}},
}

// seams are what the same text has differently in different files: breaks, indents, marks of comments.
var seams = regexp.MustCompile(`[\s*#/>]+`)

// Identify is the SPDX identifier of the licence whose text this is, "" when it is none of those known here.
func Identify(text string) string {
	plain := seams.ReplaceAllString(strings.ToLower(text), " ")
	for _, m := range marks {
		all := true
		for _, phrase := range m.phrases {
			if !strings.Contains(plain, seams.ReplaceAllString(phrase, " ")) {
				all = false
				break
			}
		}
		if all {
			return m.id
		}
	}
	return ""
}
