package awstest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// Account is whose key signs requests, and where.
type Account struct{ KeyID, Secret, Region, Service string }

// Check verifies a request's signature by the rules of version 4, from the request and its body alone.
func (a Account) Check(r *http.Request, body []byte) error {
	header, ok := strings.CutPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 ")
	if !ok {
		return fmt.Errorf("no signature of version 4: %q", r.Header.Get("Authorization"))
	}
	fields := map[string]string{}
	for _, field := range strings.Split(header, ", ") {
		name, value, _ := strings.Cut(field, "=")
		fields[name] = value
	}
	date := r.Header.Get("X-Amz-Date")
	if len(date) < len("20060102") {
		return fmt.Errorf("no date: %q", date)
	}
	place := date[:8] + "/" + a.Region + "/" + a.Service + "/aws4_request"
	if fields["Credential"] != a.KeyID+"/"+place {
		return fmt.Errorf("credential %s", fields["Credential"])
	}
	var canonical strings.Builder
	canonical.WriteString(r.Method + "\n" + r.URL.EscapedPath() + "\n" + r.URL.RawQuery + "\n")
	for _, name := range strings.Split(fields["SignedHeaders"], ";") {
		value := r.Header.Get(name)
		switch name {
		case "host":
			value = r.Host
		case "content-length":
			value = fmt.Sprint(r.ContentLength)
		}
		canonical.WriteString(name + ":" + strings.TrimSpace(value) + "\n")
	}
	sum := sha256.Sum256(body)
	canonical.WriteString("\n" + fields["SignedHeaders"] + "\n" + hex.EncodeToString(sum[:]))
	hashed := sha256.Sum256([]byte(canonical.String()))
	mac := func(key []byte, text string) []byte {
		m := hmac.New(sha256.New, key)
		m.Write([]byte(text))
		return m.Sum(nil)
	}
	key := []byte("AWS4" + a.Secret)
	for _, part := range strings.Split(place, "/") {
		key = mac(key, part)
	}
	want := hex.EncodeToString(mac(key, "AWS4-HMAC-SHA256\n"+date+"\n"+place+"\n"+hex.EncodeToString(hashed[:])))
	if want != fields["Signature"] {
		return errors.New("the signature is wrong")
	}
	return nil
}

// Federation is what STS answers to GetFederationToken.
const Federation = `<GetFederationTokenResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetFederationTokenResult>
<Credentials><AccessKeyId>ASIA1</AccessKeyId><SecretAccessKey>s3cr3t</SecretAccessKey><SessionToken>tok/en==</SessionToken>
<Expiration>2026-11-21T13:30:15Z</Expiration></Credentials></GetFederationTokenResult></GetFederationTokenResponse>`
