package main

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/crypto/x509roots/fallback/bundle"

	"github.com/treeline-ci/treeline/tools/licences"
)

// imageOptions say how the image is built.
type imageOptions struct {
	name   string
	podman []string // options of podman itself
}

// image builds the image for each platform from the programs that make made, and keeps it as an archive that
// "podman load" and "docker load" read.
func (r *release) image(ctx context.Context, o imageOptions) (err error) {
	for _, p := range r.platforms {
		if _, err := os.Stat(r.file(p)); err != nil {
			return fmt.Errorf("%w (go run ./tools/release build makes it)", err)
		}
		stage := filepath.Join(r.out, "image-"+p.Arch)
		if err := r.stage(stage, p); err != nil {
			return err
		}
		tag := o.name + ":" + strings.ReplaceAll(r.version, "+", "-") + "-" + p.Arch
		if err := r.podman(ctx, o, stage, p, tag); err != nil {
			return err
		}
		if err := os.RemoveAll(stage); err != nil {
			return err
		}
	}
	return writeSums(r.out)
}

// podman builds one image and saves it. In the format of OCI: that of Docker notes the builder's container, which is
// another each time. In one layer, since the history of several names images that are not kept.
func (r *release) podman(ctx context.Context, o imageOptions, stage string, p licences.Platform, tag string) error {
	build := append(append([]string{}, o.podman...), "build", "--quiet", "--no-cache", "--layers=false", "--format", "oci", "--platform", p.String(),
		"--timestamp", strconv.FormatInt(r.time.Unix(), 10), "--tag", tag,
		"--label", "org.opencontainers.image.version="+r.version, "--label", "org.opencontainers.image.revision="+r.commit,
		"--label", "org.opencontainers.image.created="+r.time.Format("2006-01-02T15:04:05Z"),
		"--file", filepath.Join(r.root, "deploy", "image", "Containerfile"), stage)
	id, err := command(ctx, "", nil, "podman", build...)
	if err != nil {
		return err
	}
	archive := filepath.Join(r.out, r.base()+"-image-linux-"+p.Arch+".tar")
	if err := os.Remove(archive); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	save := append(append([]string{}, o.podman...), "save", "--quiet", "--format", "docker-archive", "--output", archive, tag)
	if _, err := command(ctx, "", nil, "podman", save...); err != nil {
		return err
	}
	fmt.Printf("%s sha256:%s\n", tag, strings.TrimSpace(id))
	return nil
}

// nonroot is the user of the image, who has no rights anywhere.
const nonroot = 65532

// stage lays out the image's file system in a directory: the program, certificates of authorities, a user.
func (r *release) stage(dir string, p licences.Platform) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	root := filepath.Join(dir, "rootfs")
	for _, d := range []string{"usr/bin", "etc/ssl/certs", "usr/share/doc/treeline", "var/lib"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			return err
		}
	}
	if err := errors.Join(os.Mkdir(filepath.Join(root, "tmp"), 0o755), os.Chmod(filepath.Join(root, "tmp"), 0o777|fs.ModeSticky), os.Mkdir(filepath.Join(dir, "data"), 0o750)); err != nil {
		return err
	}
	text, err := os.ReadFile(r.file(p))
	if err != nil {
		return err
	}
	licence, err := os.ReadFile(filepath.Join(r.root, "LICENSE"))
	if err != nil {
		return err
	}
	notices, err := os.ReadFile(filepath.Join(r.out, "THIRD_PARTY_NOTICES"))
	if err != nil {
		return err
	}
	var roots bytes.Buffer
	if err := authorities(&roots); err != nil {
		return err
	}
	var problems []error
	write := func(name string, mode fs.FileMode, body []byte) {
		name = filepath.Join(root, name)
		problems = append(problems, os.WriteFile(name, body, mode), os.Chmod(name, mode))
	}
	write("usr/bin/treeline", 0o755, text)
	write("etc/ssl/certs/ca-certificates.crt", 0o644, roots.Bytes())
	write("etc/passwd", 0o644, fmt.Appendf(nil, "root:x:0:0:root:/:/sbin/nologin\ntreeline:x:%d:%d:Treeline:/var/lib/treeline:/sbin/nologin\n", nonroot, nonroot))
	write("etc/group", 0o644, fmt.Appendf(nil, "root:x:0:\ntreeline:x:%d:\n", nonroot))
	write("usr/share/doc/treeline/LICENSE", 0o644, licence)
	write("usr/share/doc/treeline/THIRD_PARTY_NOTICES", 0o644, notices)
	return errors.Join(problems...)
}

// authorities writes the certificates that Mozilla's programs trust, as the Go project publishes them: go.sum pins
// which. Those that are trusted for some names or times only are left out, as a file cannot say so.
func authorities(w io.Writer) error {
	for root := range bundle.Roots() {
		if root.Constraint != nil {
			continue
		}
		if err := pem.Encode(w, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}); err != nil {
			return err
		}
	}
	return nil
}
