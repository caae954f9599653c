// Package jwt checks the tokens by which Apps sign in at the double of GitHub.
package jwt

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Verify checks an App's token as GitHub does: RS256, issued by an App, for ten minutes at most. It returns whose it
// is, or in GitHub's words what is wrong. keys finds an App's keys; nil for no such App.
func Verify(text string, at time.Time, keys func(app int64) []*rsa.PublicKey) (app int64, problem string) {
	const undecodable = "A JSON web token could not be decoded"
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return 0, undecodable
	}
	var header struct{ Alg string }
	var claims struct {
		Iss      json.RawMessage
		Iat, Exp float64
	}
	for i, into := range []any{&header, &claims} {
		data, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil || json.Unmarshal(data, into) != nil {
			return 0, undecodable
		}
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || header.Alg != "RS256" {
		return 0, undecodable
	}
	app, err = strconv.ParseInt(strings.Trim(string(claims.Iss), `"`), 10, 64)
	if err != nil {
		return 0, "'Issuer' claim ('iss') must be an Integer"
	}
	public := keys(app)
	if public == nil {
		return 0, "Integration not found"
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	signed := func(key *rsa.PublicKey) bool { return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature) == nil }
	if !slices.ContainsFunc(public, signed) {
		return 0, undecodable
	}
	now := float64(at.Unix())
	switch {
	case claims.Iat > now+60:
		return 0, "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued"
	case claims.Exp <= now:
		return 0, "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires"
	case claims.Exp > now+600+60 || claims.Exp-claims.Iat > 660:
		return 0, "'Expiration time' claim ('exp') is too far in the future"
	}
	return app, ""
}
