package admincmd

import (
	"fmt"
	"path"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"gopkg.in/yaml.v3"
)

// drift is a hook that compares.
type drift struct {
	id, queue, repository, branch, path, owner, schedule, program string
	denylist                                                      bool
}

func (o *options) driftHook() *cobra.Command {
	var d drift
	cmd := &cobra.Command{
		Use: "drift-hook", Short: "Print a hook that reports drift, for the directory", Args: cobra.NoArgs,
		Long: `Prints the definition of a hook whose task fetches the directory from its git repository and runs "treeline
admin diff": it fails, with the drift in its log, when the server is not as the directory says. Put it into
the directory as a file and apply. Its role may read what diff reads, and change nothing; the task needs git and
treeline where it runs.`,
		Example: `  treeline admin drift-hook --repository https://git.example.com/ops.git --task-queue acme-3/linux --owner ops@acme.example > ops/drift.yml`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			text, err := d.text()
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), text)
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&d.id, "id", "admin/drift", "the hook's group and name")
	f.StringVar(&d.queue, "task-queue", "", "where the task runs; required")
	f.StringVar(&d.repository, "repository", "", "URL that git fetches the directory's repository from, without credentials; required")
	f.StringVar(&d.branch, "branch", "main", "its branch")
	f.StringVar(&d.path, "path", ".", "of the directory in the repository")
	f.StringVar(&d.owner, "owner", "", "an e-mail address; required")
	f.StringVar(&d.schedule, "schedule", "0 0 * * * *", "when it runs, a cron expression with seconds, in UTC")
	f.BoolVar(&d.denylist, "denylist", false, "the directory manages the denylist: the hook's role gets notify:manage-denylist, which can change it, too")
	f.StringVar(&d.program, "program", "treeline", "how the task calls treeline")
	return cmd
}

var (
	safeURL  = regexp.MustCompile(`^[a-z+]+://[^\s'"@]+$`)
	safeWord = regexp.MustCompile(`^[A-Za-z0-9._/+-]+$`)
)

func (d drift) text() (string, error) {
	switch {
	case d.queue == "" || d.repository == "" || d.owner == "":
		return "", fmt.Errorf("give --task-queue, --repository and --owner")
	case !safeURL.MatchString(d.repository):
		return "", fmt.Errorf("--repository %q: give a URL such as https://git.example.com/ops.git, without user and password", d.repository)
	case strings.Count(d.id, "/") < 1:
		return "", fmt.Errorf("--id %q: give group and name, such as admin/drift", d.id)
	}
	for flag, word := range map[string]string{"branch": d.branch, "path": d.path, "program": d.program} {
		if !safeWord.MatchString(word) || strings.HasPrefix(word, "-") {
			return "", fmt.Errorf("--%s %q: only letters, digits and . _ / + - can be in it", flag, word)
		}
	}
	script := fmt.Sprintf("set -eu\ngit clone -q --depth 1 --branch %s '%s' admin\n%s admin diff --dir %s\n", d.branch, d.repository, d.program, path.Join("admin", d.path))
	group, _, _ := strings.Cut(d.id, "/")
	scheduler := "admin-" + group
	scopes := []string{
		"queue:create-task:lowest:" + d.queue, "queue:create-task:project:none", "queue:scheduler-id:" + scheduler,
		"auth:list-roles", "auth:list-clients", "hooks:list-hooks:*", "worker-manager:list-worker-pools", "secrets:list-secrets",
	}
	if d.denylist {
		scopes = append(scopes, "notify:manage-denylist")
	}
	hook := map[string]any{
		"name": "Drift", "description": "Fails when the server is not as the directory of administration says.", "owner": d.owner, "schedule": []string{d.schedule},
		"task": map[string]any{
			"taskQueueId": d.queue, "schedulerId": scheduler, "created": map[string]any{"$fromNow": "0 seconds"}, "deadline": map[string]any{"$fromNow": "1 hour"},
			"scopes":   []string{"assume:hook-id:" + d.id},
			"payload":  map[string]any{"command": [][]string{{"/bin/sh", "-c", script}}, "maxRunTime": 900, "features": map[string]any{"taskclusterProxy": true}},
			"metadata": map[string]any{"name": "drift", "description": "Compares the server with its directory of administration.", "owner": d.owner, "source": d.repository},
		},
		"scopes": scopes,
	}
	out, err := yaml.Marshal(map[string]any{"hooks": map[string]any{d.id: hook}, "managed": []string{"hook:" + d.id, "role:hook-id:" + d.id}})
	return "# Made by \"treeline admin drift-hook\".\n" + string(out), err
}
