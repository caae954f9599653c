package main

import (
	"crypto/ed25519"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/workers/feature/trust"
)

func newCotCommand() *cobra.Command {
	return newRemoteGroup("cot", "Chain of trust: check what workers certify", "Works on tasks of the server named by TASKCLUSTER_ROOT_URL.",
		newCotVerify, newCotKey, newCotSign)
}

func newCotVerify(r *remote) *cobra.Command {
	var keys []string
	var deep bool
	cmd := &cobra.Command{
		Use: "verify TASK", Short: "Check that a task's artifacts are those that a trusted worker made for it", Args: cobra.ExactArgs(1),
		Long: `Checks the certificate of a completed task: that a trusted key signed it, that it speaks of this
task as the queue knows it and of the worker that ran it, and that every artifact has the certified
content. Artifacts are downloaded for that.`,
		Example: "  treeline cot verify fN1SbArXTPSVFNUvaOlinQ --key worker-keys.txt\n  treeline cot verify fN1SbArXTPSVFNUvaOlinQ --key 8fXcQ3uq0mJt2oV9rXhQk4dZ0w3b6y5e1s7a9cFgHiI= --dependencies",
		RunE: r.does(func(cmd *cobra.Command, args []string) error {
			v := trust.Verifier{Client: r.client, Deep: deep}
			for _, k := range keys {
				more, err := publicKeys(k)
				if err != nil {
					return err
				}
				v.Keys = append(v.Keys, more...)
			}
			checked, err := v.Verify(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if r.json {
				if err := r.printJSON(checked); err != nil {
					return err
				}
			}
			bad := 0
			for _, c := range checked {
				if len(c.Problems) > 0 {
					bad++
				}
				if !r.json {
					r.printChecked(c)
				}
			}
			if bad > 0 {
				return fault.New(fault.Forbidden, "%d of %d tasks are not as certified", bad, len(checked))
			}
			return nil
		}),
	}
	cmd.Flags().StringArrayVar(&keys, "key", nil, "public key that is trusted, or a file with one on each line (repeatable)")
	cmd.Flags().BoolVar(&deep, "dependencies", false, "check the tasks that it depends on as well, and theirs")
	if err := cmd.MarkFlagRequired("key"); err != nil {
		cmd.PrintErrln(err) // the flag is defined above
	}
	return cmd
}

func (r *remote) printChecked(c trust.Checked) {
	r.printf("%s  %s\n", c.TaskID, c.Name)
	for _, name := range c.Artifacts {
		r.printf("  as certified  %s\n", name)
	}
	for _, p := range c.Problems {
		r.printf("  WRONG         %s\n", p)
	}
}

// publicKeys reads one key, or a file of them; what follows # in it is a remark.
func publicKeys(text string) ([]ed25519.PublicKey, error) {
	if key, err := trust.ParsePublic(text); err == nil {
		return []ed25519.PublicKey{key}, nil
	}
	data, err := os.ReadFile(text)
	if err != nil {
		return nil, fault.New(fault.BadArguments, "%.80q is neither a public key nor a file of them", text)
	}
	var out []ed25519.PublicKey
	for line := range strings.Lines(string(data)) {
		line, _, _ = strings.Cut(line, "#")
		if strings.TrimSpace(line) == "" {
			continue
		}
		key, err := trust.ParsePublic(line)
		if err != nil {
			return nil, err
		}
		out = append(out, key)
	}
	if len(out) == 0 {
		return nil, fault.New(fault.BadArguments, "%s holds no public key", text)
	}
	return out, nil
}

func newCotKey(*remote) *cobra.Command {
	return &cobra.Command{
		Use: "new-key FILE", Short: "Make a key for a worker to sign with, and print its public half", Args: cobra.ExactArgs(1),
		Long:    "Writes a new ed25519 key to FILE, which only its owner may read, for \"treeline worker run --signing-key\".\nPrints the public key, for those who verify.",
		Example: "  treeline cot new-key /etc/treeline/worker.key >>worker-keys.txt",
		RunE: func(cmd *cobra.Command, args []string) error {
			public, err := trust.NewKey(args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), public)
			return err
		},
	}
}

func newCotSign(*remote) *cobra.Command {
	var key string
	cmd := &cobra.Command{
		Use: "sign-task TASK", Short: "Sign the definition of a task, for workers that run signed tasks alone", Args: cobra.ExactArgs(1),
		Long: `Reads the definition of a task from standard input and writes it with a signature in its extra, which
is good for the task id TASK alone. All of the definition is signed but its priority.`,
		Example: "  treeline cot sign-task fN1SbArXTPSVFNUvaOlinQ --key /etc/treeline/release.key <task.json >signed.json",
		RunE: func(cmd *cobra.Command, args []string) error {
			private, err := trust.ReadKey(key)
			if err != nil {
				return err
			}
			definition, err := io.ReadAll(cmd.InOrStdin())
			if err != nil {
				return err
			}
			signed, err := trust.SignTask(private, args[0], definition)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), string(signed))
			return err
		},
	}
	cmd.Flags().StringVar(&key, "key", "", "file with the key to sign with (treeline cot new-key)")
	if err := cmd.MarkFlagRequired("key"); err != nil {
		cmd.PrintErrln(err) // the flag is defined above
	}
	return cmd
}
