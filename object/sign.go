package object

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
)

// Right is what a signed URL lets its holder do with one object.
type Right string

// The rights, named as the last part of the door's route for them.
const (
	Read   Right = "content" // read a finished object
	Follow Right = "stream"  // read an object that may still grow
	Write  Right = "put"     // give the whole content
	Parts  Right = "parts"   // give the content in numbered parts
	Append Right = "append"  // give the content in pieces
)

// How long signed URLs hold.
const (
	readFor   = 30 * time.Minute
	writeFor  = 24 * time.Hour
	signedFor = 45 * time.Minute    // see SignedPut (taskcluster-map 5.7)
	followFor = 31 * 24 * time.Hour // at most; it ends with the object
)

// sign returns a URL that gives a right to the object of that name and id until expires.
func (s *Store) sign(right Right, name string, id int64, expires time.Time) string {
	token := strconv.FormatInt(expires.Unix(), 10) + "." + strconv.FormatInt(id, 10)
	return s.rootURL + "/api/object/v1/" + string(right) + "/" + url.PathEscape(name) +
		"?token=" + token + "." + s.mac(right, name, token)
}

// signed reports whether a claim was signed here, with the key of now or one of before.
func (s *Store) signed(right Right, name, claim, given string) bool {
	good := hmac.Equal([]byte(s.mac(right, name, claim)), []byte(given))
	for _, key := range s.retired {
		good = hmac.Equal([]byte(macOf(key, right, name, claim)), []byte(given)) || good
	}
	return good
}

func (s *Store) mac(right Right, name, token string) string { return macOf(s.key, right, name, token) }

func macOf(key []byte, right Right, name, token string) string {
	sum := hmac.New(sha256.New, key)
	sum.Write([]byte("treeline object url 1\n" + string(right) + "\n" + token + "\n" + name))
	return base64.RawURLEncoding.EncodeToString(sum.Sum(nil))
}

// Holds checks the token of a signed URL and returns the id of the object it is for: an object made
// anew under the same name has another. A wrong token is a fault.Unauthenticated, one that ran out a
// fault.Gone.
func (s *Store) Holds(right Right, name, token string) (id int64, err error) {
	wrong := fault.New(fault.Unauthenticated, "The token of this URL is wrong; ask for a new URL.")
	at := strings.LastIndexByte(token, '.')
	if len(token) > 200 || at < 0 {
		return 0, wrong
	}
	claim, given := token[:at], token[at+1:]
	if !s.signed(right, name, claim, given) {
		return 0, wrong
	}
	expires, key, ok := strings.Cut(claim, ".")
	seconds, err := strconv.ParseInt(expires, 10, 64)
	if !ok || err != nil {
		return 0, wrong
	}
	if id, err = strconv.ParseInt(key, 10, 64); err != nil {
		return 0, wrong
	}
	if time.Now().Unix() >= seconds {
		return 0, fault.New(fault.Gone, "This URL was valid until %s; ask for a new one.", time.Unix(seconds, 0).UTC().Format(time.RFC3339))
	}
	return id, nil
}
