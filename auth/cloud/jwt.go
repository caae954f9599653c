package cloud

import (
	"crypto"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
)

// signToken makes a JSON web token of claims; sign signs its text (RFC 7515).
func signToken(algorithm string, claims any, sign func(text []byte) ([]byte, error)) (string, error) {
	body, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("cloud: token: %w", err)
	}
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"`+algorithm+`","typ":"JWT"}`)) + "." + base64.RawURLEncoding.EncodeToString(body)
	mac, err := sign([]byte(text))
	if err != nil {
		return "", fmt.Errorf("cloud: token: %w", err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(mac), nil
}

func signHS256(key []byte, claims any) (string, error) {
	return signToken("HS256", claims, func(text []byte) ([]byte, error) {
		mac := hmac.New(sha256.New, key)
		mac.Write(text)
		return mac.Sum(nil), nil
	})
}

func signRS256(key *rsa.PrivateKey, claims any) (string, error) {
	return signToken("RS256", claims, func(text []byte) ([]byte, error) {
		sum := sha256.Sum256(text)
		return rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
	})
}

// rsaKey reads a private key in PEM, of either form in use. Its errors do not repeat it.
func rsaKey(text string) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("it must be a private key in PEM (-----BEGIN …)")
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := parsed.(*rsa.PrivateKey)
	if err != nil || !ok {
		return nil, errors.New("it must be an RSA private key without a password")
	}
	return key, nil
}
