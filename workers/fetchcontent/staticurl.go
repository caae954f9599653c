package fetchcontent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/workers/archive"
)

// StaticURL is a file of the web.
type StaticURL struct {
	URL     string
	SHA256  string // in hex, "" for any
	Size    int64  // in bytes, -1 for any
	Headers http.Header
	Archive archive.Renaming

	SignatureURL string // of a detached signature
	Key          string // public keys, armoured, that may have made it
}

func (f *Fetcher) staticURLCommand(ctx context.Context, args []string) error {
	s := StaticURL{Headers: http.Header{}}
	var headers []string
	var keyVariable string
	flags := pflag.NewFlagSet("static-url", pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&s.SHA256, "sha256", "", "")
	flags.Int64Var(&s.Size, "size", -1, "")
	flags.IntVar(&s.Archive.Strip, "strip-components", 0, "")
	flags.StringVar(&s.Archive.Prefix, "add-prefix", "", "")
	flags.StringArrayVarP(&headers, "header", "H", nil, "")
	flags.StringVar(&s.SignatureURL, "gpg-sig-url", "", "")
	flags.StringVar(&keyVariable, "gpg-key-env", "", "")
	if err := flags.Parse(args); err != nil {
		return fault.Wrap(fault.BadArguments, err, "static-url")
	}
	if flags.NArg() != 2 {
		return fault.New(fault.BadArguments, "static-url takes a URL and a file, not %d words", flags.NArg())
	}
	for _, h := range headers {
		name, value, ok := strings.Cut(h, ":")
		if !ok {
			return fault.New(fault.BadArguments, "header %q is not of the form NAME:VALUE", h)
		}
		s.Headers.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	if s.SignatureURL != "" {
		if s.Key = f.Env(keyVariable); s.Key == "" {
			return fault.New(fault.BadArguments, "--gpg-sig-url needs --gpg-key-env with the name of a variable that holds the public key")
		}
	}
	s.URL = flags.Arg(0)
	return f.StaticURL(ctx, s, flags.Arg(1))
}

// StaticURL downloads to dest. When dest is of another kind of archive than the URL, or names in the archive
// are to change, it is packed anew: only .tar.zst can be made.
func (f *Fetcher) StaticURL(ctx context.Context, s StaticURL, dest string) error {
	address, err := url.Parse(s.URL)
	if err != nil || address.Scheme != "http" && address.Scheme != "https" {
		return fault.New(fault.BadArguments, "%q is no http or https URL", s.URL)
	}
	base := path.Base(address.Path)
	repack := s.Archive != (archive.Renaming{}) || archive.Kind(base) != archive.Kind(dest) && archive.Kind(dest) != "" && archive.Kind(base) != ""
	if repack && archive.Kind(dest) != "zst" {
		return fault.New(fault.BadArguments, "an archive that is packed anew becomes a .tar.zst, so %s cannot be made", filepath.Base(dest))
	}
	if repack && archive.Kind(base) == "" {
		return fault.New(fault.BadArguments, "%s is no archive by its name, so its entries cannot be renamed", base)
	}
	if err := os.MkdirAll(filepath.Dir(dest), 0o755); err != nil {
		return err
	}
	return writeFile(dest, func(out *os.File) error {
		if !repack {
			return f.verified(ctx, s, out)
		}
		temp, err := os.CreateTemp(filepath.Dir(dest), ".fetch-*")
		if err != nil {
			return err
		}
		defer func() { _ = errors.Join(temp.Close(), os.Remove(temp.Name())) }() // what matters is in out by then
		if err := f.verified(ctx, s, temp); err != nil {
			return err
		}
		if _, err := temp.Seek(0, io.SeekStart); err != nil {
			return err
		}
		f.Say("Packing %s anew as %s", base, filepath.Base(dest))
		return archive.Repack(ctx, temp, base, out, s.Archive)
	})
}

// verified downloads and checks digest, size and signature.
func (f *Fetcher) verified(ctx context.Context, s StaticURL, out *os.File) error {
	err := f.retry(ctx, "Downloading "+redacted(s.URL), func() error { return f.download(ctx, s, out) })
	if err != nil || s.SignatureURL == "" {
		return err
	}
	return f.checkSignature(ctx, s, out.Name())
}

// redacted leaves out what may be secret in a URL.
func redacted(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "a URL"
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}

// download makes one attempt to fill out.
func (f *Fetcher) download(ctx context.Context, s StaticURL, out *os.File) error {
	if _, err := out.Seek(0, io.SeekStart); err != nil {
		return final{err}
	}
	if err := out.Truncate(0); err != nil {
		return final{err}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL, nil)
	if err != nil {
		return final{err}
	}
	req.Header = s.Headers.Clone()
	began := time.Now()
	resp, err := f.http.Do(req)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err // without the URL, which may hold a secret
		}
		return err
	}
	defer resp.Body.Close()
	if err := refusal(resp); err != nil {
		return err
	}
	digest := sha256.New()
	n, err := f.copy(cancel, io.MultiWriter(out, digest), resp.Body, s.Size)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
			err = errors.Join(err, cause)
		}
		return err
	}
	sum := hex.EncodeToString(digest.Sum(nil))
	if s.Size >= 0 && n != s.Size {
		return final{fmt.Errorf("%s has %d bytes, it should have %d", redacted(s.URL), n, s.Size)}
	}
	if s.SHA256 != "" && !strings.EqualFold(s.SHA256, sum) {
		return final{fmt.Errorf("%s has sha256 %s, it should be %s", redacted(s.URL), sum, s.SHA256)}
	}
	f.Say("Downloaded %s: %d bytes in %v, sha256 %s", redacted(s.URL), n, time.Since(began).Round(time.Millisecond), sum)
	return nil
}

// refusal is the error of an answer that holds no content; final unless it may be otherwise later.
func refusal(resp *http.Response) error {
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	err := fmt.Errorf("the server answers %s", resp.Status)
	if resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusRequestTimeout {
		return err
	}
	return final{err}
}

// copy copies at most limit bytes (-1: any number) and cancels a transfer that stands still.
func (f *Fetcher) copy(cancel context.CancelCauseFunc, out io.Writer, in io.Reader, limit int64) (int64, error) {
	timer := time.AfterFunc(f.stall, func() { cancel(fmt.Errorf("nothing arrived for %v", f.stall)) })
	defer timer.Stop()
	var total int64
	buffer := make([]byte, 256<<10)
	for {
		n, err := in.Read(buffer)
		timer.Reset(f.stall)
		if total += int64(n); limit >= 0 && total > limit {
			return total, final{fmt.Errorf("there are more than the %d bytes that it should have", limit)}
		}
		if _, werr := out.Write(buffer[:n]); werr != nil {
			return total, final{werr}
		}
		if errors.Is(err, io.EOF) {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

// maxSignature bounds a detached signature.
const maxSignature = 1 << 20

// checkSignature lets gpg say whether one of the given keys, and no other, signed the file.
func (f *Fetcher) checkSignature(ctx context.Context, s StaticURL, file string) (err error) {
	dir, err := os.MkdirTemp("", "gpg-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	signature := filepath.Join(dir, "signature")
	err = writeFile(signature, func(out *os.File) error {
		return f.retry(ctx, "Downloading the signature", func() error {
			return f.download(ctx, StaticURL{URL: s.SignatureURL, Size: -1}, out)
		})
	})
	if err != nil {
		return fmt.Errorf("signature: %w", err)
	}
	if info, err := os.Stat(signature); err != nil || info.Size() > maxSignature {
		return errors.Join(err, fmt.Errorf("signature: %s has more than %d bytes", redacted(s.SignatureURL), maxSignature))
	}
	keys := filepath.Join(dir, "keys")
	if err := os.WriteFile(keys, []byte(s.Key), 0o600); err != nil {
		return err
	}
	gpg := func(args ...string) error {
		cmd := exec.CommandContext(ctx, "gpg", append([]string{"--homedir", dir, "--batch", "--no-autostart", "--quiet", "--trust-model", "always"}, args...)...)
		return f.Run(ctx, cmd)
	}
	if err := gpg("--import", keys); err != nil {
		return fmt.Errorf("signature: the public key cannot be read: %w", err)
	}
	if err := gpg("--verify", signature, file); err != nil {
		return fmt.Errorf("signature: %s is not signed by the given key: %w", redacted(s.URL), err)
	}
	f.Say("The signature of %s is good", redacted(s.URL))
	return nil
}
