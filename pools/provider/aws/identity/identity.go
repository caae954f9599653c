// Package identity verifies the identity documents of EC2 instances: a JSON text, and EC2's signature of it,
// either plain RSA with SHA-256 or PKCS #7 (the metadata service gives both).
package identity

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/smallstep/pkcs7"
)

// Document is what of an identity document is compared.
type Document struct {
	InstanceID   string `json:"instanceId"`
	AccountID    string `json:"accountId"`
	Region       string `json:"region"`
	ImageID      string `json:"imageId"`
	InstanceType string `json:"instanceType"`
	PrivateIP    string `json:"privateIp"`
	Architecture string `json:"architecture"`
}

// Verify reads a proof, {document, signature}, that the certificate's key has signed. The certificate is
// pinned: its own chain does not matter, nor do its dates, for EC2 keeps certificates for decades.
func Verify(cert *x509.Certificate, proof json.RawMessage) (d Document, err error) {
	var in struct{ Document, Signature string }
	if err := json.Unmarshal(proof, &in); err != nil {
		return d, err
	}
	signature, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(in.Signature), ""))
	if err != nil || len(signature) == 0 || in.Document == "" {
		return d, errors.New("the proof has no document, or no signature in base64")
	}
	if err := verify(cert, []byte(in.Document), signature); err != nil {
		return d, err
	}
	return d, json.Unmarshal([]byte(in.Document), &d)
}

func verify(cert *x509.Certificate, document, signature []byte) error {
	key, ok := cert.PublicKey.(*rsa.PublicKey)
	if !ok {
		return errors.New("the region's certificate has no RSA key; take that for the signature, not that for pkcs7")
	}
	sum := sha256.Sum256(document)
	if len(signature) == key.Size() {
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature)
	}
	p7, err := pkcs7.Parse(signature)
	if err != nil {
		return fmt.Errorf("the signature is neither RSA nor PKCS #7: %w", err)
	}
	if len(p7.Content) > 0 && !bytes.Equal(p7.Content, document) {
		return errors.New("the signature is of another document")
	}
	p7.Content = document
	// Only the pinned certificate counts, whatever comes along.
	p7.Certificates = []*x509.Certificate{cert}
	return p7.Verify()
}
