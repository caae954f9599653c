package provider

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
)

// Token proves that who has it was launched by us. It follows from the launch's key, so that a launch that is
// done again hands out the same; the key alone, which tags and names show, does not give it away.
func Token(secret []byte, key string) string {
	sum := hmac.New(sha256.New, secret)
	sum.Write([]byte("worker launch " + key))
	return base64.RawURLEncoding.EncodeToString(sum.Sum(nil))
}

// TokenProof is Token as workers show it.
func TokenProof(secret []byte, key string) json.RawMessage {
	return json.RawMessage(`{"token":"` + Token(secret, key) + `"}`)
}

// VerifyToken checks the proof of a worker that was launched with Token.
func VerifyToken(secret []byte, key string, content json.RawMessage) error {
	var shown struct {
		Token string `json:"token"`
	}
	if err := json.Unmarshal(content, &shown); err != nil {
		return err
	}
	if key == "" || !hmac.Equal([]byte(shown.Token), []byte(Token(secret, key))) {
		return errors.New("the token is not that of the worker's launch")
	}
	return nil
}
