package awstest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http"
	"testing"
	"time"
)

// Signer is the key with which EC2 signs identity documents.
type Signer struct {
	Key         *rsa.PrivateKey
	Certificate *x509.Certificate
	PEM         string // of the certificate
}

// NewSigner makes a key, and a certificate of it that holds for an hour.
func NewSigner(t testing.TB) Signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "ec2"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return Signer{Key: key, Certificate: cert, PEM: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))}
}

// Sign signs a document with RSA, as the path "signature" of the metadata service has it before base64.
func (s Signer) Sign(document string) ([]byte, error) {
	sum := sha256.Sum256([]byte(document))
	return rsa.SignPKCS1v15(rand.Reader, s.Key, crypto.SHA256, sum[:])
}

// Document is the identity document of an instance of EC2's; edit, if given, changes it.
func Document(region, id string, edit func(map[string]string)) string {
	d := map[string]string{"instanceId": id, "accountId": "123", "region": region, "imageId": Image, "instanceType": Type,
		"privateIp": address(id), "architecture": "x86_64"}
	if edit != nil {
		edit(d)
	}
	text, _ := json.Marshal(d) // a map of strings
	return string(text)
}

func address(id string) string { return "10.0.0." + id[len(id)-1:] }

// Metadata is the metadata service of the instance that was made last: what it is, and what it was given. It wants the token
// that keeps pages in browsers away. Before there is an instance nothing is found.
func (e *EC2) Metadata(s Signer) http.Handler {
	const token, identity = "token of a session", "/latest/dynamic/instance-identity/"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		list := e.Instances()
		if len(list) == 0 {
			http.NotFound(w, r)
			return
		}
		i := list[len(list)-1]
		document := Document(i.Region, i.ID, nil)
		var text []byte
		var err error
		switch {
		case r.Method == http.MethodPut && r.URL.Path == "/latest/api/token" && r.Header.Get("X-Aws-Ec2-Metadata-Token-Ttl-Seconds") != "":
			text = []byte(token)
		case r.Header.Get("X-Aws-Ec2-Metadata-Token") != token:
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/latest/user-data":
			text, err = base64.StdEncoding.DecodeString(i.UserData)
		case r.URL.Path == "/latest/meta-data/instance-id":
			text = []byte(i.ID)
		case r.URL.Path == identity+"document":
			text = []byte(document)
		case r.URL.Path == identity+"signature":
			var signature []byte
			signature, err = s.Sign(document)
			text = []byte(base64.StdEncoding.EncodeToString(signature))
		default: // such as notices that the instance will be taken away: there are none
			http.NotFound(w, r)
			return
		}
		if err != nil {
			e.t.Error(err)
		}
		if _, err := w.Write(text); err != nil {
			e.t.Log(err) // whoever asked has gone
		}
	})
}
