// Package logincmd has the commands by which people sign in on the command line: the browser asks for
// consent, and the program gets a client of its own with a part of the person's rights
// (taskcluster-map 15.3).
package logincmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/treeline-ci/treeline/client"
)

// New returns the commands signin and signout.
func New() []*cobra.Command { return []*cobra.Command{newSignIn(), newSignOut()} }

// signIn is one use of treeline signin.
type signIn struct {
	root      string
	name      string
	expires   string
	scopes    []string
	port      int
	csh       bool
	check     bool
	save      bool
	export    bool
	noBrowser bool

	in       io.Reader
	out, err io.Writer
	open     func(ctx context.Context, address string) error
}

func newSignIn() *cobra.Command {
	s := &signIn{open: openBrowser}
	cmd := &cobra.Command{
		Use:   "signin [ROOT-URL]",
		Short: "Sign in with the browser, and get credentials for the command line",
		Long: `Opens the server's page on which you say which of your rights the command line gets, and until when.
The server makes a client with those rights below your own name; you find it on your profile.

On a terminal the credentials are stored for you alone, where the other commands find them. When the
output is taken by a shell, it is settings of the environment, which other clients of Taskcluster's
know too.

On a machine without a browser --no-browser prints the address, for any other machine, and asks for
the code that the page shows.`,
		Example: `  treeline signin https://ci.example.com
  eval $(treeline signin)                      # for this shell only
  treeline signin --scope 'queue:rerun-task:*' --expires '2 hours'
  treeline signin --check`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s.in, s.out, s.err = cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr()
			if s.check {
				return s.checkSignIn(cmd.Context())
			}
			root, err := rootURL(args)
			if err != nil {
				return err
			}
			s.root = root
			return s.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.BoolVar(&s.check, "check", false, "say only whether you are signed in")
	f.BoolVar(&s.csh, "csh", false, "print settings for csh")
	f.StringVarP(&s.name, "name", "n", "cli", "what the name of the client begins with")
	f.StringVar(&s.expires, "expires", "1d", "how long the client lives; the shorter, the safer")
	f.StringArrayVarP(&s.scopes, "scope", "s", []string{"*"}, "a scope to ask for (repeatable); * asks for all of yours")
	f.IntVarP(&s.port, "port", "p", 0, "port on 127.0.0.1 at which the browser brings the answer; 0 takes a free one")
	f.BoolVar(&s.save, "save", false, "store the credentials, also when the output is no terminal")
	f.BoolVar(&s.export, "export", false, "print settings for the shell, also on a terminal")
	f.BoolVar(&s.noBrowser, "no-browser", false, "print the address, and ask for the code that its page shows")
	cmd.MarkFlagsMutuallyExclusive("save", "export")
	return cmd
}

// rootURL is the server to sign in to: what is named, what the environment names, the last one.
func rootURL(args []string) (string, error) {
	root := os.Getenv("TASKCLUSTER_ROOT_URL")
	if len(args) > 0 {
		root = args[0]
	}
	if root == "" {
		stored, ok, err := client.Remembered("")
		if err != nil {
			return "", err
		}
		if !ok {
			return "", errors.New("name the server: treeline signin https://ci.example.com, or set TASKCLUSTER_ROOT_URL")
		}
		root = stored.RootURL
	}
	u, err := url.Parse(strings.TrimRight(root, "/"))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Path != "" || u.User != nil || u.RawQuery != "" {
		return "", fmt.Errorf("%q is no server's address: give one such as https://ci.example.com", root)
	}
	return u.Scheme + "://" + u.Host, nil
}

func (s *signIn) checkSignIn(ctx context.Context) error {
	c, err := client.FromEnv(nil)
	if err != nil {
		return err
	}
	if c.Credentials().ClientID == "" {
		return errors.New("not signed in")
	}
	scopes, err := c.WithPatience(10 * time.Second).CurrentScopes(ctx)
	if err != nil {
		return fmt.Errorf("not signed in: %w", err)
	}
	fmt.Fprintf(s.out, "signed in at %s as %s, with %d scopes\n", c.RootURL(), c.Credentials().ClientID, len(scopes))
	return nil
}

// deliver stores the credentials or prints settings.
func (s *signIn) deliver(c client.Stored) error {
	if s.save || !s.export && isTerminal(s.out) {
		if err := client.Store(c); err != nil {
			return err
		}
		fmt.Fprintf(s.err, "Signed in at %s as %s until %s.\n", c.RootURL, c.ClientID, c.Expires.Local().Format("2 Jan 2006 15:04"))
		return nil
	}
	set := settings{csh: s.csh}
	set.set("TASKCLUSTER_ROOT_URL", c.RootURL)
	set.set("TASKCLUSTER_CLIENT_ID", c.ClientID)
	set.set("TASKCLUSTER_ACCESS_TOKEN", c.AccessToken)
	set.unset("TASKCLUSTER_CERTIFICATE")
	_, err := io.WriteString(s.out, set.String())
	return err
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// settings are lines for a shell to evaluate.
type settings struct {
	csh bool
	strings.Builder
}

// set quotes the value so that a shell takes it for nothing but a value.
func (s *settings) set(name, value string) {
	quoted := "'" + strings.ReplaceAll(value, "'", `'\''`) + "'"
	if s.csh {
		fmt.Fprintf(s, "setenv %s %s;\n", name, strings.ReplaceAll(quoted, "!", `\!`))
		return
	}
	fmt.Fprintf(s, "export %s=%s;\n", name, quoted)
}

func (s *settings) unset(name string) {
	if s.csh {
		fmt.Fprintf(s, "unsetenv %s;\n", name)
		return
	}
	fmt.Fprintf(s, "unset %s;\n", name)
}
