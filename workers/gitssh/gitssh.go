// Package gitssh lets git and Mercurial reach a repository over ssh with a key that is kept as a secret: the
// task asks for it through its proxy, with its own rights, and holds it in a file of its own only as long as
// it is needed (taskgraph-map 21.2).
package gitssh

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/fault"
)

// hostKeys are those of GitHub as it publishes them; other hosts need theirs in ~/.ssh/known_hosts.
const hostKeys = `github.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl
github.com ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBEmKSENjQEezOmxkZMy7opKgwFB9nkt5YRrYMjNuG5N87uRgg6CLrbo5wAdT/y6v0mKV0U2w0WZ2YB/++Tpockg=
`

// Prepare fetches the secret through the task proxy and writes its ssh_privkey into a directory that only
// this user reads. It returns the ssh command that uses it, for GIT_SSH_COMMAND or Mercurial's ui.ssh, and the
// function that removes the key.
func Prepare(ctx context.Context, proxyURL, secret string) (command string, remove func() error, err error) {
	if proxyURL == "" {
		return "", nil, fault.New(fault.Invalid, "the key in secret %s is needed, but the task has no proxy (TASKCLUSTER_PROXY_URL) to ask through", secret)
	}
	c, err := client.New(client.Config{RootURL: proxyURL})
	if err != nil {
		return "", nil, err
	}
	var got struct {
		Secret struct {
			Key string `json:"ssh_privkey"`
		} `json:"secret"`
	}
	if err := c.Call(ctx, "secrets", http.MethodGet, client.Path("secret", secret), nil, nil, &got); err != nil {
		return "", nil, fmt.Errorf("secret %s: %w", secret, err)
	}
	if got.Secret.Key == "" {
		return "", nil, fault.New(fault.Invalid, "secret %s has no ssh_privkey", secret)
	}
	dir, err := os.MkdirTemp("", "ssh-")
	if err != nil {
		return "", nil, err
	}
	remove = func() error { return os.RemoveAll(dir) }
	key, hosts := filepath.Join(dir, "key"), filepath.Join(dir, "hosts")
	err = errors.Join(os.WriteFile(key, []byte(got.Secret.Key+"\n"), 0o600), os.WriteFile(hosts, []byte(hostKeys), 0o600))
	if err != nil {
		return "", nil, errors.Join(err, remove())
	}
	return fmt.Sprintf("ssh -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=yes -o 'UserKnownHostsFile=%s ~/.ssh/known_hosts' -i %s", hosts, key), remove, nil
}
