// Package secretcmd is the command "treeline secret". Values come from standard input or a file, never
// from an argument, which other users of the machine could see.
package secretcmd

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/task"
)

// maxValue is how many bytes of a value are read.
const maxValue = 10 << 20

// Body is what a command does with a server.
type Body func(cmd *cobra.Command, c *client.Client, args []string) error

// New makes the command. connect wraps the bodies of its sub-commands: it connects and explains errors.
func New(connect func(Body) func(*cobra.Command, []string) error, help string) *cobra.Command {
	cmd := &cobra.Command{
		Use: "secret", Short: "Set, read, list and remove secrets", Args: cobra.NoArgs,
		Long: `Works on the secrets of a server: small JSON objects by name, which tasks with the right scope read.
Each reading and change is written into the audit trail.` + help,
	}
	cmd.AddCommand(newSet(connect), newGet(connect), newList(connect), newRemove(connect))
	return cmd
}

func newSet(connect func(Body) func(*cobra.Command, []string) error) *cobra.Command {
	var file, key, lasts string
	cmd := &cobra.Command{
		Use: "set NAME", Short: "Set a secret from standard input or a file", Args: cobra.ExactArgs(1),
		Long: `Puts a value at a name, in place of the one that may be there. The value is a JSON object, or with
--key any text, which becomes the one member of an object; a line end at its end is left out.`,
		Example: `  treeline secret set project/mine/deploy < deploy.json
  treeline secret set project/mine/token --key token --lasts 90d < token.txt`,
		RunE: connect(func(cmd *cobra.Command, c *client.Client, args []string) error {
			expires, err := until(time.Now(), lasts)
			if err != nil {
				return err
			}
			value, err := readValue(cmd.InOrStdin(), file, key)
			if err != nil {
				return err
			}
			return c.SetSecret(cmd.Context(), args[0], client.Secret{Secret: value, Expires: task.At(expires)})
		}),
	}
	cmd.Flags().StringVar(&file, "file", "", "read the value from a file instead of standard input")
	cmd.Flags().StringVar(&key, "key", "", "the value is a text; name of the member it becomes")
	cmd.Flags().StringVar(&lasts, "lasts", "365d", "how long the secret lasts (90d, 12h), or until when (2027-01-31, or with a time)")
	return cmd
}

func newGet(connect func(Body) func(*cobra.Command, []string) error) *cobra.Command {
	var key string
	cmd := &cobra.Command{
		Use: "get NAME", Short: "Print a secret's value", Args: cobra.ExactArgs(1),
		Example: `  treeline secret get project/mine/deploy
  treeline secret get project/mine/token --key token`,
		RunE: connect(func(cmd *cobra.Command, c *client.Client, args []string) error {
			s, err := c.Secret(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			text, err := shown(s.Secret, key)
			if err != nil {
				return fmt.Errorf("secret %s: %w", args[0], err)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), text)
			return err
		}),
	}
	cmd.Flags().StringVar(&key, "key", "", "print one member alone: a text as it is, anything else as JSON")
	return cmd
}

func newList(connect func(Body) func(*cobra.Command, []string) error) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the names of all secrets", Args: cobra.NoArgs, Example: `  treeline secret list`,
		RunE: connect(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			for name, err := range c.Secrets(cmd.Context()) {
				if err != nil {
					return err
				}
				fmt.Fprintln(cmd.OutOrStdout(), name)
			}
			return nil
		}),
	}
}

func newRemove(connect func(Body) func(*cobra.Command, []string) error) *cobra.Command {
	return &cobra.Command{
		Use: "remove NAME", Short: "Remove a secret", Args: cobra.ExactArgs(1), Example: `  treeline secret remove project/mine/token`,
		RunE: connect(func(cmd *cobra.Command, c *client.Client, args []string) error {
			return c.RemoveSecret(cmd.Context(), args[0])
		}),
	}
}

// readValue reads the value. Errors hold nothing of it.
func readValue(stdin io.Reader, file, key string) (json.RawMessage, error) {
	in := stdin
	if file != "" && file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, maxValue+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxValue {
		return nil, fmt.Errorf("the value has more than %d bytes", maxValue)
	}
	if key != "" {
		text := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
		return json.Marshal(map[string]string{key: text})
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(data, &object); err != nil || object == nil {
		return nil, errors.New("the value is no JSON object; for a text give the name of its member: --key NAME")
	}
	return data, nil
}

// shown is a value as it is printed.
func shown(value json.RawMessage, key string) (string, error) {
	if key == "" {
		var b bytes.Buffer
		err := json.Indent(&b, value, "", "  ")
		return b.String(), err
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(value, &object); err != nil {
		return "", errors.New("its value is no object")
	}
	member, ok := object[key]
	if !ok {
		return "", fmt.Errorf("its value has no member %q", key)
	}
	var text string
	if json.Unmarshal(member, &text) == nil {
		return text, nil
	}
	return string(member), nil
}

// until reads how long something lasts.
func until(now time.Time, text string) (time.Time, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n > 0 && n <= 36500 {
			return now.AddDate(0, 0, n), nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return now.Add(d), nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("--lasts %q: say how long, such as 90d or 12h, or until when, such as 2027-01-31", text)
}
