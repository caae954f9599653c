package hg

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
)

// MaxHint is how many bytes a hint may have.
const MaxHint = 64 << 10

// HintHeader is the header with the signature of a hint: t=<Unix seconds>,v1=<HMAC-SHA256 in hexadecimal> of
// the seconds, a full stop and the body, with a secret of the repository.
const HintHeader = "X-Treeline-Signature"

// window is how far the clock of who sends a hint may be off. Whoever repeats a hint within it makes the
// repository be looked at once more, and nothing else.
const window = 5 * time.Minute

// Hint takes a hint that a repository moved. Nothing in it is believed: it makes the repository be looked at
// now. A wrong signature is a fault.Unauthenticated, also for a repository that is not there.
func (w *Watch) Hint(ctx context.Context, name, signature string, body []byte) error {
	var secrets []string
	if r := w.repos[name]; r != nil {
		secrets = r.Secrets
	}
	if err := verify(secrets, signature, body, time.Now()); err != nil {
		return err
	}
	return w.hint(ctx, []string{name})
}

// hint has repositories looked at now.
func (w *Watch) hint(ctx context.Context, names []string) error {
	if _, err := w.Pool.Exec(ctx, hintSQL.Text, names); err != nil {
		return fmt.Errorf("app/hg: hint: %w", pg.Classify(err))
	}
	w.Wake()
	return nil
}

func verify(secrets []string, signature string, body []byte, now time.Time) error {
	var at string
	var sums [][]byte
	for part := range strings.SplitSeq(signature, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "t":
			at = value
		case "v1":
			if sum, err := hex.DecodeString(value); err == nil && len(sum) == sha256.Size && len(sums) < 4 {
				sums = append(sums, sum)
			}
		}
	}
	seconds, err := strconv.ParseInt(at, 10, 64)
	if err != nil || len(sums) == 0 {
		return fault.New(fault.Unauthenticated, "the header %s is missing or malformed; expected t=<Unix seconds>,v1=<HMAC-SHA256>", HintHeader)
	}
	good := false
	for _, secret := range secrets {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(at + "."))
		mac.Write(body)
		want := mac.Sum(nil)
		for _, sum := range sums {
			good = hmac.Equal(want, sum) || good
		}
	}
	if !good {
		return fault.New(fault.Unauthenticated, "the signature fits no secret of the hooks of this repository")
	}
	if age := now.Sub(time.Unix(seconds, 0)); age > window || age < -window {
		return fault.New(fault.Unauthenticated, "the hint is signed at another time than now: the clocks may differ by %v", window)
	}
	return nil
}

var hintSQL = pg.Statement{Name: "app/hg.hint", Text: `
	UPDATE hg_repositories SET hints = hints + 1, hinted = clock_timestamp(), next_look = '-infinity' WHERE name = ANY($1::text[])`}
