package hawk

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"strings"

	jsonv1 "github.com/go-json-experiment/json/v1"

	"github.com/treeline-ci/treeline/internal/fault"
)

// Credentials are what a client signs with.
type Credentials struct {
	ClientID    string `json:"clientId"`
	AccessToken string `json:"accessToken"`
	// Certificate is the JSON of a Certificate for temporary credentials, otherwise "".
	Certificate string `json:"certificate,omitempty"`
	// AuthorizedScopes limits what requests may do; nil means no limit, empty means nothing but the
	// anonymous role.
	AuthorizedScopes []string `json:"authorizedScopes,omitempty"`
}

// LogValue keeps the token out of logs.
func (c Credentials) LogValue() slog.Value { return slog.StringValue(c.ClientID) }

// String keeps the token out of texts.
func (c Credentials) String() string { return "credentials of " + c.ClientID }

// Extension is the decoded ext field of a request.
type Extension struct {
	Certificate      *Certificate
	AuthorizedScopes []string // nil when not given
}

// Ext returns the ext field for the credentials: base64 of JSON with the certificate and the authorized
// scopes, "" when there are neither.
func Ext(creds Credentials) (string, error) {
	if creds.Certificate == "" && creds.AuthorizedScopes == nil {
		return "", nil
	}
	ext := struct {
		Certificate      json.RawMessage `json:"certificate,omitempty"`
		AuthorizedScopes *[]string       `json:"authorizedScopes,omitempty"`
	}{}
	if creds.Certificate != "" {
		if _, err := ParseCertificate([]byte(creds.Certificate)); err != nil {
			return "", fault.Wrap(fault.Invalid, err, "hawk: the certificate of %s", creds)
		}
		ext.Certificate = json.RawMessage(creds.Certificate)
	}
	if creds.AuthorizedScopes != nil {
		ext.AuthorizedScopes = &creds.AuthorizedScopes
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(ext); err != nil {
		return "", fault.Wrap(fault.Invalid, err, "hawk: the ext field of %s", creds)
	}
	return base64.StdEncoding.EncodeToString(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}

// ParseExt decodes an ext field. Other keys than certificate and authorizedScopes are ignored.
func ParseExt(ext string) (Extension, error) {
	if ext == "" {
		return Extension{}, nil
	}
	raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(ext, "="))
	if err != nil {
		return Extension{}, failf("Bad ext: it is not base64")
	}
	var keys map[string]json.RawMessage
	if err := jsonv1.Unmarshal(raw, &keys); err != nil {
		return Extension{}, failf("Bad ext: it is not a JSON object")
	}
	var out Extension
	if c := keys["certificate"]; len(c) > 0 && string(c) != "null" {
		cert, err := ParseCertificate(c)
		if err != nil {
			return Extension{}, err
		}
		out.Certificate = &cert
	}
	if a := keys["authorizedScopes"]; len(a) > 0 && string(a) != "null" {
		out.AuthorizedScopes = []string{}
		if err := jsonv1.Unmarshal(a, &out.AuthorizedScopes); err != nil {
			return Extension{}, failf("Bad ext: authorizedScopes must be an array of scopes")
		}
		for _, s := range out.AuthorizedScopes {
			if !printable(s) {
				return Extension{}, failf("Bad ext: authorizedScopes may hold printable ASCII only")
			}
		}
	}
	return out, nil
}
