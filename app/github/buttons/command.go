package buttons

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// Command is an action that a comment asks for: NAME [on LABEL] [key=value…] or NAME [on LABEL] {key: value, …}.
type Command struct {
	Action string
	Label  string // of the task; "" for the whole group
	Words  []Word // key=value, in order
	Object map[string]any
}

// Word is one key=value.
type Word struct{ Key, Value string }

// maxCommand is how many bytes a command may have.
const maxCommand = 10_000

// Usage is the form of a command, for people.
const Usage = "`/treeline action NAME [on LABEL] [key=value …]`"

const maxAction = 100 // bytes of an action's name; a pattern that counted them would be long

var actionName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)

// ParseCommand reads what follows `/treeline action`. Its errors are sentences for whoever wrote it.
func ParseCommand(text string) (Command, error) {
	var c Command
	text = strings.TrimSpace(text)
	if len(text) > maxCommand {
		return c, fmt.Errorf("the command has more than %d bytes", maxCommand)
	}
	c.Action, text = word(text)
	if len(c.Action) > maxAction || !actionName.MatchString(c.Action) {
		return c, fmt.Errorf("which action? Write %s", Usage)
	}
	if first, rest := word(text); first == "on" {
		if c.Label, text = word(rest); c.Label == "" || strings.Contains(c.Label, "=") {
			return c, fmt.Errorf("after `on` the label of a task must follow: %s", Usage)
		}
	}
	if strings.HasPrefix(text, "{") {
		if err := yaml.Unmarshal([]byte(text), &c.Object); err != nil {
			return c, fmt.Errorf("the input cannot be read: %s", strings.TrimPrefix(err.Error(), "yaml: "))
		}
		return c, nil
	}
	for text != "" {
		var pair string
		var err error
		if pair, text, err = quoted(text); err != nil {
			return c, err
		}
		key, value, ok := strings.Cut(pair, "=")
		if !ok || key == "" {
			return c, fmt.Errorf("`%s` is not of the form key=value", clip(pair))
		}
		c.Words = append(c.Words, Word{key, value})
	}
	return c, nil
}

// word cuts the first word off.
func word(s string) (first, rest string) {
	if i := strings.IndexAny(s, " \t"); i >= 0 {
		return s[:i], strings.TrimLeft(s[i:], " \t")
	}
	return s, ""
}

// quoted cuts the first word off; within double quotes spaces do not count, and \" is a quote.
func quoted(s string) (first, rest string, err error) {
	var b strings.Builder
	inside := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && inside && i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\\'):
			i++
			b.WriteByte(s[i])
		case s[i] == '"':
			inside = !inside
		case !inside && (s[i] == ' ' || s[i] == '\t'):
			return b.String(), strings.TrimLeft(s[i:], " \t"), nil
		default:
			b.WriteByte(s[i])
		}
	}
	if inside {
		return "", "", fmt.Errorf("a quotation mark is not closed in `%s`", clip(s))
	}
	return b.String(), "", nil
}

func clip(s string) string { return fit(strings.ReplaceAll(s, "`", "'"), 60) }

// Input makes the input of an action by its schema: words are numbers, lists and so on as the schema has it. nil is no
// input. Whether it fits in all else is checked where the action is started.
func (c Command) Input(schema map[string]any) (any, error) {
	if len(c.Object) == 0 && len(c.Words) == 0 {
		return nil, nil
	}
	if schema == nil {
		return nil, fmt.Errorf("the action %s takes no input", c.Action)
	}
	if c.Object != nil {
		return asJSON(c.Object)
	}
	properties, _ := schema["properties"].(map[string]any)
	input := map[string]any{}
	for _, w := range c.Words {
		property, known := properties[w.Key].(map[string]any)
		if !known && schema["additionalProperties"] != true && len(properties) > 0 {
			return nil, fmt.Errorf("the action %s has no input `%s`; it has %s", c.Action, clip(w.Key), list(properties))
		}
		v, err := value(property, w.Value)
		if err != nil {
			return nil, fmt.Errorf("`%s`: %w", clip(w.Key), err)
		}
		before, again := input[w.Key].([]any)
		now, many := v.([]any)
		_, given := input[w.Key]
		switch {
		case again && many:
			v = append(before, now...)
		case given:
			return nil, fmt.Errorf("`%s` is given twice", clip(w.Key))
		}
		input[w.Key] = v
	}
	return input, nil
}

func list(properties map[string]any) string {
	names := slices.Sorted(maps.Keys(properties))
	return "`" + strings.Join(names, "`, `") + "`"
}

// value reads one word by the schema of a property.
func value(schema map[string]any, text string) (any, error) {
	kind, _ := schema["type"].(string)
	switch kind {
	case "string":
		return text, nil
	case "integer":
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%q is not a whole number", clip(text))
		}
		return float64(n), nil
	case "number":
		n, err := strconv.ParseFloat(text, 64)
		if err != nil || n != n || n-n != 0 {
			return nil, fmt.Errorf("%q is not a number", clip(text))
		}
		return n, nil
	case "boolean":
		if text != "true" && text != "false" {
			return nil, fmt.Errorf("%q is not true or false", clip(text))
		}
		return text == "true", nil
	case "array":
		if strings.HasPrefix(text, "[") {
			return structured(text)
		}
		items, _ := schema["items"].(map[string]any)
		out := []any{}
		for part := range strings.SplitSeq(text, ",") {
			v, err := value(items, strings.TrimSpace(part))
			if err != nil {
				return nil, err
			}
			out = append(out, v)
		}
		return out, nil
	case "object":
		return structured(text)
	}
	if list, ok := schema["enum"].([]any); ok { // without a type: what looks like it
		for _, one := range list {
			if fmt.Sprint(one) == text {
				return one, nil
			}
		}
	}
	return text, nil
}

func structured(text string) (any, error) {
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		return nil, fmt.Errorf("%q cannot be read: %s", clip(text), strings.TrimPrefix(err.Error(), "yaml: "))
	}
	return asJSON(v)
}

// asJSON gives a value of YAML the form of one of JSON.
func asJSON(v any) (any, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("the input is nothing that JSON can say: %w", err)
	}
	var out any
	err = json.Unmarshal(b, &out)
	return out, err
}
