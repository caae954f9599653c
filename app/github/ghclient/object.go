package ghclient

import (
	"crypto/sha1" //nolint:gosec // git names objects so
	"encoding/hex"
	"fmt"
)

// object returns the id that git gives a content.
func object(content []byte) string {
	h := sha1.New()
	fmt.Fprintf(h, "blob %d\x00", len(content))
	h.Write(content)
	return hex.EncodeToString(h.Sum(nil))
}
