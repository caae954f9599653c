package licences

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Allowed are the licences under which other people's work may be part of a release: they ask for their text to go with
// it, and no more of who uses or changes Treeline. MPL-2.0 asks for the source of its own files, which are unchanged.
func Allowed() []string {
	return []string{"0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "MIT-0", "MPL-2.0", "Unlicense", "Zlib"}
}

// riders are words that take back a part of what a licence gives, or belong to one that gives less than it seems to.
var riders = []string{
	"commons clause", "non-commercial", "noncommercial", "business source license", "server side public license", "elastic license",
	"gnu general public license", "gnu affero general public license", "gnu lesser general public license", "functional source license", "all rights reserved worldwide",
}

// harmless says of files where such words stand why they take nothing back.
var harmless = map[string]string{
	"MPL-2.0": "its section 1.12 names the licences that it may be combined with",
}

// Check holds modules to Allowed; the error names each that must not be there, with its licence.
func Check(list []Module) error {
	var problems []error
	for _, m := range list {
		if len(m.Licences) == 0 {
			problems = append(problems, fmt.Errorf("%s %s %s: none of its files states a licence that is known here", m.Kind, m.Path, m.Version))
		}
		for _, id := range m.Licences {
			if !slices.Contains(Allowed(), id) {
				problems = append(problems, fmt.Errorf("%s %s %s is under %s, which is none of %s", m.Kind, m.Path, m.Version, id, strings.Join(Allowed(), ", ")))
			}
		}
		for _, t := range m.Texts {
			if rider := riderOf(t.Body); rider != "" {
				problems = append(problems, fmt.Errorf("%s %s %s: its file %s says %q", m.Kind, m.Path, m.Version, t.Name, rider))
			}
		}
	}
	return errors.Join(problems...)
}

// riderOf finds such words in a text; "" without.
func riderOf(text string) string {
	plain := seams.ReplaceAllString(strings.ToLower(text), " ")
	for _, words := range riders {
		if strings.Contains(plain, words) && harmless[Identify(text)] == "" {
			return words
		}
	}
	return ""
}
