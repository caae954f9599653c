package aws

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/treeline-ci/treeline/internal/fault"
)

// metadata is where the metadata service of every instance is.
const metadata = "http://169.254.169.254"

const (
	metadataTimeout = 10 * time.Second
	maxMetadata     = 64 << 10
)

// role are the credentials of the role that the instance has on which the server runs: EC2 renews them, and nobody
// has to keep a key.
type role struct{ address string }

// Retrieve implements aws.CredentialsProvider: it asks the metadata service, with a token (IMDSv2).
func (r role) Retrieve(ctx context.Context) (aws.Credentials, error) {
	token, err := r.ask(ctx, http.MethodPut, "/latest/api/token", http.Header{"X-Aws-Ec2-Metadata-Token-Ttl-Seconds": {"60"}})
	if err != nil {
		return aws.Credentials{}, err
	}
	header := http.Header{"X-Aws-Ec2-Metadata-Token": {token}}
	const roles = "/latest/meta-data/iam/security-credentials/"
	names, err := r.ask(ctx, http.MethodGet, roles, header)
	if err != nil {
		return aws.Credentials{}, err
	}
	name, _, _ := strings.Cut(strings.TrimSpace(names), "\n")
	if name == "" {
		return aws.Credentials{}, fault.New(fault.Invalid, "aws: this instance has no role")
	}
	text, err := r.ask(ctx, http.MethodGet, roles+url.PathEscape(name), header)
	if err != nil {
		return aws.Credentials{}, err
	}
	var got struct {
		Code, AccessKeyID, SecretAccessKey, Token string
		Expiration                                time.Time
	}
	if err := json.Unmarshal([]byte(text), &got); err != nil || got.Code != "Success" || got.AccessKeyID == "" {
		return aws.Credentials{}, fault.New(fault.Unavailable, "aws: the metadata service has no credentials of the role %s (%s)", name, got.Code)
	}
	return aws.Credentials{
		AccessKeyID: got.AccessKeyID, SecretAccessKey: got.SecretAccessKey, SessionToken: got.Token, CanExpire: true, Expires: got.Expiration, Source: "instance role " + name,
	}, nil
}

func (r role) ask(ctx context.Context, method, path string, header http.Header) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, metadataTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, r.address+path, nil)
	if err != nil {
		return "", err
	}
	req.Header = header
	direct := http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // it is on this machine's own link
	resp, err := direct.Do(req)
	if err != nil {
		return "", fault.Wrap(fault.Unavailable, err, "aws: the metadata service of this machine does not answer; is it an instance of EC2?")
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxMetadata))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("aws: metadata service: %s: %s", path, resp.Status)
	}
	return string(text), err
}

// credentials sign the calls of EC2.
func (c *Config) credentials() aws.CredentialsProvider {
	if !c.InstanceRole {
		return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey}, nil
		})
	}
	address := metadata
	if c.Metadata != "" {
		address = strings.TrimRight(c.Metadata, "/")
	}
	// Those that are about to expire are got anew, at different moments on different servers.
	return aws.NewCredentialsCache(role{address}, func(o *aws.CredentialsCacheOptions) {
		o.ExpiryWindow, o.ExpiryWindowJitterFrac = 5*time.Minute, 0.5
	})
}
