package object

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
)

// TestURLsOutliveTheirKey signs with a key that is changed then.
func TestURLsOutliveTheirKey(t *testing.T) {
	old, next := []byte(strings.Repeat("a", 32)), []byte(strings.Repeat("b", 32))
	address := (&Store{key: old}).sign(Read, "a", 7, time.Now().Add(time.Minute))
	token := must[*url.URL](t)(url.Parse(address)).Query().Get("token")
	if id, err := (&Store{key: next, retired: [][]byte{old}}).Holds(Read, "a", token); err != nil || id != 7 {
		t.Errorf("with the key retired: %d, %v", id, err)
	}
	if _, err := (&Store{key: next}).Holds(Read, "a", token); !errors.Is(err, fault.Unauthenticated) {
		t.Errorf("with the key gone: %v", err)
	}
}

func TestSignedURLs(t *testing.T) {
	s := fresh(t)
	address := s.sign(Read, "a/b c", 7, time.Now().Add(time.Hour))
	u := must[*url.URL](t)(url.Parse(address))
	if u.EscapedPath() != "/api/object/v1/content/a%2Fb%20c" {
		t.Errorf("path %s", u.EscapedPath())
	}
	token := u.Query().Get("token")
	if id, err := s.Holds(Read, "a/b c", token); err != nil || id != 7 {
		t.Errorf("%d, %v", id, err)
	}
	late := must[*url.URL](t)(url.Parse(s.sign(Read, "a/b c", 7, time.Now().Add(-time.Second)))).Query().Get("token")
	other := open(t, s.pool, s.disk.dir)
	other.key = []byte(strings.Repeat("o", 32))
	for name, tt := range map[string]struct {
		store *Store
		right Right
		name  string
		token string
		kind  fault.Kind
	}{
		"another right":          {s, Append, "a/b c", token, fault.Unauthenticated},
		"another name":           {s, Read, "a/b", token, fault.Unauthenticated},
		"another id":             {s, Read, "a/b c", strings.Replace(token, ".7.", ".8.", 1), fault.Unauthenticated},
		"another expiry":         {s, Read, "a/b c", "9" + token, fault.Unauthenticated},
		"another key":            {other, Read, "a/b c", token, fault.Unauthenticated},
		"nothing":                {s, Read, "a/b c", "", fault.Unauthenticated},
		"too much":               {s, Read, "a/b c", token + strings.Repeat("x", 200), fault.Unauthenticated},
		"a token that has ended": {s, Read, "a/b c", late, fault.Gone},
	} {
		if _, err := tt.store.Holds(tt.right, tt.name, tt.token); !errors.Is(err, tt.kind) {
			t.Errorf("%s: %v", name, err)
		}
	}
	t.Run("a URL is not for an object made anew under the name", func(t *testing.T) {
		put := func() string {
			if _, err := s.Put(t.Context(), "n", "p", "text/plain", time.Now().Add(time.Hour), strings.NewReader("x"), ""); err != nil {
				t.Fatal(err)
			}
			return must[string](t)(s.DownloadURL(t.Context(), "n"))
		}
		id := holder(t, s, Read, "n", put())
		if err := s.Delete(t.Context(), "n"); err != nil {
			t.Fatal(err)
		}
		put()
		_, _, err := s.OpenSigned(t.Context(), "n", id, "")
		wantKind(t, err, fault.NotFound)
	})
}

func FuzzHolds(f *testing.F) {
	s := &Store{key: urlKey}
	f.Add("a", must[*url.URL](f)(url.Parse(s.sign(Append, "a", 1, time.Now().Add(time.Hour)))).Query().Get("token"))
	f.Add("a", "1.2.3")
	f.Fuzz(func(t *testing.T, name, token string) {
		if _, err := s.Holds(Read, name, token); err == nil {
			t.Fatalf("%q gives a right to %q", token, name)
		}
	})
}
