package app

import (
	"fmt"
	"os"
	"strings"
)

// Setting is the value of a variable of the environment, or what stands in the file that the variable of the same name
// with _FILE at its end names: for secrets, which are better kept in files. Both at once are a mistake.
func Setting(name string) (string, error) {
	value, file := os.Getenv(name), os.Getenv(name+"_FILE")
	switch {
	case file == "":
		return value, nil
	case value != "":
		return "", fmt.Errorf("%s and %s_FILE are both set: take one away", name, name)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("%s_FILE: %w", name, err)
	}
	return strings.TrimSpace(string(text)), nil
}
