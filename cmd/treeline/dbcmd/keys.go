package dbcmd

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/app"
	"github.com/treeline-ci/treeline/internal/crypt"
	"github.com/treeline-ci/treeline/internal/crypt/reseal"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/keyservice"
)

func newKeyCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "key", Short: "Make a new encryption key", Args: cobra.NoArgs,
		Long: `Prints a new encryption key, wrapped by the master key when TREELINE_MASTER_KEY names one:
one of this machine, or the key service of a cloud. Nothing is changed: docs/operations/keys.md says
how it is named, and where to put what is printed.`,
		Example: `  treeline db key
  TREELINE_MASTER_KEY=file:/etc/treeline/master treeline db key >> /etc/treeline/keys
  TREELINE_MASTER_KEY='awskms:///alias/treeline?deployment=ci.example.org' treeline db key`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			keeper, err := keyservice.Open(cmd.Context(), os.Getenv(app.MasterKeySetting))
			if err != nil {
				return err
			}
			secret := make([]byte, crypt.KeySize)
			rand.Read(secret)
			text, err := crypt.FormatKey(cmd.Context(), secret, keeper)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "the id of this key is %s\n", crypt.Fingerprint(secret))
			fmt.Fprintln(cmd.OutOrStdout(), text)
			return nil
		},
	}
}

func newReencryptCommand(o *options) *cobra.Command {
	var check bool
	cmd := &cobra.Command{
		Use: "reencrypt", Short: "Seal what is stored under retired keys with the current one", Args: cobra.NoArgs,
		Long: `Seals everything in the database that is sealed with a retired key again, with the current one, and
says which keys are in use afterwards: one that is not can be taken out of the configuration. Servers
may run meanwhile; a command that was interrupted is simply given again.

The keys are the server's: those of secrets.json in TREELINE_DATA (or --data), or of the environment
variables that "treeline serve" knows.`,
		Example: `  treeline db reencrypt --check
  treeline db reencrypt`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ring, err := o.ring(cmd.Context())
			if err != nil {
				return err
			}
			return o.with(cmd, func(ctx context.Context, pool *pgxpool.Pool) error {
				reports, err := reseal.Run(ctx, pool, ring, !check, app.Sealed()...)
				if err != nil {
					return err
				}
				return o.printKeys(cmd, ring, reports)
			})
		},
	}
	cmd.Flags().BoolVar(&check, "check", false, "only say which keys are in use")
	return cmd
}

// ring makes the ring of the server whose database this is.
func (o *options) ring(ctx context.Context) (*crypt.Ring, error) {
	dir := o.data
	if dir == "" {
		dir = os.Getenv("TREELINE_DATA")
	}
	if dir == "" {
		return nil, fault.New(fault.Invalid, "whose keys? Set TREELINE_DATA to the server's directory, or give --data DIR")
	}
	path := filepath.Join(dir, "secrets.json")
	if _, err := os.Stat(path); err != nil {
		return nil, fault.Wrap(fault.NotFound, err, "no server has started with %s", dir) // else it would be made
	}
	secrets, err := app.LoadSecrets(path)
	if err != nil {
		return nil, err
	}
	if _, err := secrets.LoadKeys(ctx); err != nil {
		return nil, err
	}
	return secrets.Ring()
}

// keyUse tells of one key how much it seals.
type keyUse struct {
	ID     string         `json:"id"`
	State  string         `json:"state"` // current, retired, or unknown to the configuration
	Values map[string]int `json:"values"`
}

func (o *options) printKeys(cmd *cobra.Command, ring *crypt.Ring, reports []reseal.Report) error {
	uses, resealed, lost := keyUses(ring, reports)
	out := cmd.OutOrStdout()
	if o.json {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		if err := enc.Encode(map[string]any{"keys": uses, "resealed": resealed, "lost": len(lost)}); err != nil {
			return err
		}
	} else {
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "KEY\tSTATE\tSEALS")
		for _, u := range uses {
			fmt.Fprintf(w, "%s\t%s\t%s\n", u.ID, u.State, u.says())
		}
		fmt.Fprintf(w, "\n%d values were sealed again.\n", resealed)
		if err := w.Flush(); err != nil {
			return err
		}
	}
	if len(lost) > 0 {
		return fault.New(fault.Invalid, "%d values open with none of the keys, such as %s: give the key they were sealed with", len(lost), lost[0])
	}
	return nil
}

func keyUses(ring *crypt.Ring, reports []reseal.Report) (uses []keyUse, resealed int, lost []string) {
	byID := map[string]*keyUse{}
	use := func(id string) *keyUse {
		if byID[id] == nil {
			byID[id] = &keyUse{ID: id, State: "not configured", Values: map[string]int{}}
		}
		return byID[id]
	}
	for i, id := range ring.IDs() {
		use(id).State = "retired"
		if i == 0 {
			use(id).State = "current"
		}
	}
	for _, r := range reports {
		resealed += r.Resealed
		for id, n := range r.Keys {
			if id == "" {
				id = "(not named)"
			}
			use(id).Values[r.Table] = n
		}
		for _, key := range r.Lost {
			lost = append(lost, fmt.Sprintf("that of %s in %s", strings.Join(key, "/"), r.Table))
		}
	}
	for _, id := range append(ring.IDs(), slices.Sorted(maps.Keys(byID))...) {
		if u := byID[id]; u != nil {
			uses = append(uses, *u)
			delete(byID, id)
		}
	}
	return uses, resealed, lost
}

func (u keyUse) says() string {
	var parts []string
	for _, table := range slices.Sorted(maps.Keys(u.Values)) {
		parts = append(parts, fmt.Sprintf("%d %s", u.Values[table], table))
	}
	switch {
	case len(parts) > 0:
		return strings.Join(parts, ", ")
	case u.State == "retired":
		return "nothing any more: take it out of the configuration"
	}
	return "nothing yet"
}
