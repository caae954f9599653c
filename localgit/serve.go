package localgit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
)

// Advertise writes what a fetching git client is told first (the body of info/refs for service
// git-upload-pack). protocol is the client's Git-Protocol header.
func (r *Repo) Advertise(ctx context.Context, w io.Writer, protocol string) error {
	const first = "# service=git-upload-pack\n"
	if _, err := fmt.Fprintf(w, "%04x%s0000", len(first)+4, first); err != nil {
		return fmt.Errorf("localgit: advertise: %w", err)
	}
	return r.uploadPack(ctx, nil, w, protocol, "--advertise-refs")
}

// UploadPack answers one request of a fetching git client. Reading is all it can do.
func (r *Repo) UploadPack(ctx context.Context, request io.Reader, w io.Writer, protocol string) error {
	return r.uploadPack(ctx, request, w, protocol)
}

func (r *Repo) uploadPack(ctx context.Context, in io.Reader, out io.Writer, protocol string, flags ...string) error {
	// A task asks for the exact revision of its push, which may no longer be a branch's head.
	args := []string{"-c", "uploadpack.allowAnySHA1InWant=true", "-c", "uploadpack.allowFilter=true", "upload-pack", "--stateless-rpc"}
	cmd := r.command(ctx, append(append(args, flags...), r.gitDir)...)
	if protocol != "" && !strings.ContainsFunc(protocol, func(c rune) bool { return c <= ' ' || c > '~' }) {
		cmd.Env = append(cmd.Env, "GIT_PROTOCOL="+protocol)
	}
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, &stderr
	if err := cmd.Run(); err != nil {
		if _, exited := errors.AsType[*exec.ExitError](err); exited && in != nil && stderr.Len() == 0 {
			return nil // the client said no more, as it does after a shallow negotiation
		}
		return fmt.Errorf("localgit: upload-pack: %w: %s", err, strings.TrimSpace(stderr.String()))
	}
	return nil
}
