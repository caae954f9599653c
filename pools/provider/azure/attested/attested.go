// Package attested verifies the attested data of Azure's metadata service: a PKCS #7 message with a document
// about the machine, signed by Microsoft under a public root.
package attested

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/smallstep/pkcs7"

	"github.com/treeline-ci/treeline/internal/fault"
)

// Document is what is said of a machine.
type Document struct {
	VMID           string `json:"vmId"`
	SubscriptionID string `json:"subscriptionId"`
	TimeStamp      struct {
		CreatedOn string `json:"createdOn"`
		ExpiresOn string `json:"expiresOn"`
	} `json:"timeStamp"`
}

const (
	maxCertificate = 64 << 10
	maxDepth       = 4 // certificates fetched for one chain
	timeForm       = "01/02/06 15:04:05 -0700"
)

// signers are the names that may sign, themselves or below them: those of Azure's public and national clouds.
var signers = []string{"metadata.azure.com", "metadata.azure.us", "metadata.azure.cn", "metadata.microsoftazure.de"}

// hosts are where missing certificates may be fetched from: nobody makes the server call elsewhere.
var hosts = []string{"www.microsoft.com", "cacerts.digicert.com", "caissuers.microsoft.com"}

// Verifier verifies documents. It is safe for concurrent use.
type Verifier struct {
	roots *x509.CertPool // nil: the machine's own
	http  *http.Client

	mu            sync.Mutex
	intermediates []*x509.Certificate
	fetched       map[string]bool
}

// New returns a verifier. roots and intermediates are in PEM; without roots the machine's own count.
func New(roots, intermediates []byte, client *http.Client) (*Verifier, error) {
	v := &Verifier{http: client, fetched: map[string]bool{}}
	if len(roots) > 0 {
		v.roots = x509.NewCertPool()
		if !v.roots.AppendCertsFromPEM(roots) {
			return nil, fault.New(fault.Invalid, "rootCertificates are no certificates in PEM")
		}
	}
	for rest := intermediates; len(rest) > 0; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fault.New(fault.Invalid, "intermediateCertificates: %v", err)
		}
		v.intermediates = append(v.intermediates, cert)
	}
	return v, nil
}

// Verify reads a proof, {document}, that a signer of Microsoft's has signed and that has not expired.
func (v *Verifier) Verify(ctx context.Context, proof json.RawMessage, now time.Time) (d Document, err error) {
	var in struct{ Document string }
	if err := json.Unmarshal(proof, &in); err != nil {
		return d, err
	}
	der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(in.Document), ""))
	if err != nil || len(der) == 0 {
		return d, errors.New("the document is not base64")
	}
	p7, err := pkcs7.Parse(der)
	if err != nil {
		return d, fmt.Errorf("the document is no PKCS #7: %w", err)
	}
	signer := p7.GetOnlySigner()
	if signer == nil {
		return d, errors.New("the document has not exactly one signer")
	}
	name := signer.Subject.CommonName
	if !slices.ContainsFunc(signers, func(s string) bool { return name == s || strings.HasSuffix(name, "."+s) }) {
		return d, fmt.Errorf("the document is signed by %q", name)
	}
	if err := v.chain(ctx, signer, p7.Certificates, now); err != nil {
		return d, err
	}
	if err := p7.Verify(); err != nil {
		return d, fmt.Errorf("the signature does not fit: %w", err)
	}
	if err := json.Unmarshal(p7.Content, &d); err != nil {
		return d, err
	}
	expires, err := time.Parse(timeForm, d.TimeStamp.ExpiresOn)
	if err != nil || now.After(expires) {
		return d, fmt.Errorf("the document expired at %q", d.TimeStamp.ExpiresOn)
	}
	return d, nil
}

// chain finds the way from the signer to a root, and fetches what is missing on it where the certificates say.
func (v *Verifier) chain(ctx context.Context, signer *x509.Certificate, along []*x509.Certificate, now time.Time) error {
	last := signer
	for range maxDepth {
		pool := x509.NewCertPool()
		v.mu.Lock()
		known := slices.Concat(along, v.intermediates)
		v.mu.Unlock()
		for _, c := range known {
			pool.AddCert(c)
		}
		_, err := signer.Verify(x509.VerifyOptions{Roots: v.roots, Intermediates: pool, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
		if err == nil {
			return nil
		}
		if _, unknown := errors.AsType[x509.UnknownAuthorityError](err); !unknown {
			return err
		}
		issuer, fetchErr := v.fetch(ctx, last)
		if fetchErr != nil {
			return errors.Join(err, fetchErr)
		}
		last = issuer
	}
	return errors.New("the chain of certificates is too long")
}

// fetch gets a certificate's issuer from an address that it names.
func (v *Verifier) fetch(ctx context.Context, cert *x509.Certificate) (*x509.Certificate, error) {
	for _, address := range cert.IssuingCertificateURL {
		u, err := url.Parse(address)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || !slices.Contains(hosts, u.Hostname()) || u.Port() != "" {
			continue
		}
		issuer, err := v.get(ctx, u.String())
		if err != nil {
			return nil, err
		}
		if err := cert.CheckSignatureFrom(issuer); err != nil {
			return nil, err
		}
		v.mu.Lock()
		defer v.mu.Unlock()
		if !v.fetched[address] {
			v.fetched[address] = true
			v.intermediates = append(v.intermediates, issuer)
		}
		return issuer, nil
	}
	return nil, fmt.Errorf("the issuer of %q is not known, and may not be fetched", cert.Subject.CommonName)
}

func (v *Verifier) get(ctx context.Context, address string) (*x509.Certificate, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	client := *v.http
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := client.Do(req)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "fetch a certificate of Microsoft's")
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxCertificate))
	if err != nil || resp.StatusCode != http.StatusOK {
		return nil, fault.New(fault.Unavailable, "fetch %s: %s, %v", address, resp.Status, err)
	}
	if block, _ := pem.Decode(data); block != nil {
		data = block.Bytes
	}
	return x509.ParseCertificate(data)
}
