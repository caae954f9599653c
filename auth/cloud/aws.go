package cloud

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/treeline-ci/treeline/internal/fault"
)

// S3Credentials are for one bucket, below one prefix.
type S3Credentials struct {
	AccessKeyID, SecretAccessKey, SessionToken string
	Expires                                    time.Time
}

const (
	awsDuration = 3600 // seconds
	// federatedName appears in AWS's own logs.
	federatedName = "TemporaryS3ReadWriteCredentials"
	// maxPolicy is the most characters that AWS takes for a session's policy.
	maxPolicy = 2048
)

var (
	bucketPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$`)
	regionPattern = regexp.MustCompile(`^[a-z0-9-]+$`)
)

// awsBuckets has the client that may federate for each bucket.
type awsBuckets map[string]*sts.Client

func newAWS(c AWSConfig, client *http.Client) (awsBuckets, error) {
	out := awsBuckets{}
	if c.Region == "" {
		c.Region = "us-east-1"
	}
	endpoint, err := address(c.STS, "")
	if err != nil || !regionPattern.MatchString(c.Region) {
		return nil, errors.Join(errors.New("aws: region or address of STS cannot be used"), err)
	}
	for i, account := range c.Accounts {
		if account.AccessKeyID == "" || account.SecretAccessKey == "" {
			return nil, fmt.Errorf("aws: account %d needs accessKeyId and secretAccessKey", i+1)
		}
		o := sts.Options{Region: c.Region, HTTPClient: client, Credentials: static(account)}
		if endpoint != "" {
			o.BaseEndpoint = &endpoint
		}
		session := sts.New(o)
		for _, bucket := range account.Buckets {
			if !bucketPattern.MatchString(bucket) {
				return nil, fmt.Errorf("aws: the bucket name %q cannot be used: it must match %s, without dots", bucket, bucketPattern)
			}
			if out[bucket] != nil {
				return nil, fmt.Errorf("aws: the bucket %s is listed twice", bucket)
			}
			out[bucket] = session
		}
	}
	return out, nil
}

func static(a AWSAccount) aws.CredentialsProvider {
	return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: a.AccessKeyID, SecretAccessKey: a.SecretAccessKey, Source: "configuration"}, nil
	})
}

// S3 returns credentials for the objects of a bucket whose keys begin with prefix.
func (c *Cloud) S3(ctx context.Context, level Level, bucket, prefix string) (S3Credentials, error) {
	if len(c.aws) == 0 {
		return S3Credentials{}, notConfigured("AWS", "aws")
	}
	session := c.aws[bucket]
	if session == nil {
		return S3Credentials{}, fault.New(fault.NotFound, "This deployment hands out no credentials for the bucket %s.", bucket)
	}
	if strings.HasPrefix(prefix, "/") {
		return S3Credentials{}, fault.New(fault.Invalid, "The prefix must not begin with a slash; got %q.", prefix)
	}
	policy, err := s3Policy(level, bucket, prefix)
	if err != nil {
		return S3Credentials{}, err
	}
	answer, err := session.GetFederationToken(ctx, &sts.GetFederationTokenInput{
		Name: aws.String(federatedName), Policy: aws.String(policy), DurationSeconds: aws.Int32(awsDuration),
	})
	if err != nil {
		return S3Credentials{}, awsError(err)
	}
	got := answer.Credentials
	if got == nil || got.Expiration == nil {
		return S3Credentials{}, errors.New("cloud: AWS answered without credentials")
	}
	return S3Credentials{aws.ToString(got.AccessKeyId), aws.ToString(got.SecretAccessKey), aws.ToString(got.SessionToken), *got.Expiration}, nil
}

// awsError tells a fault of AWS from one of the configuration.
func awsError(err error) error {
	if api, ok := errors.AsType[smithy.APIError](err); ok && api.ErrorCode() == "PackedPolicyTooLarge" {
		return fault.New(fault.Invalid, "The prefix is longer than AWS allows.")
	}
	if answer, ok := errors.AsType[*smithyhttp.ResponseError](err); ok {
		return refused("AWS", answer.HTTPStatusCode(), err)
	}
	return refused("AWS", 0, err)
}

// statement is a part of an IAM policy.
type statement struct {
	Sid, Effect string
	Action      []string
	Resource    []string
	Condition   map[string]map[string][]string `json:",omitempty"`
}

// s3Policy is what a session may do: read, list and, at read-write, change what is below the prefix.
// Changing access lists is not among it: it would let somebody keep access for ever.
func s3Policy(level Level, bucket, prefix string) (string, error) {
	actions := []string{"s3:GetObject"}
	if level == ReadWrite {
		actions = append(actions, "s3:PutObject", "s3:DeleteObject")
	}
	arn, below := "arn:aws:s3:::"+bucket, literally(prefix)+"*"
	text, err := json.Marshal(struct {
		Version   string
		Statement []statement
	}{"2012-10-17", []statement{
		{Sid: "ReadWriteObjectsUnderPrefix", Effect: "Allow", Action: actions, Resource: []string{arn + "/" + below}},
		{Sid: "ListObjectsUnderPrefix", Effect: "Allow", Action: []string{"s3:ListBucket"}, Resource: []string{arn},
			Condition: map[string]map[string][]string{"StringLike": {"s3:prefix": {below}}}},
		{Sid: "GetBucketLocation", Effect: "Allow", Action: []string{"s3:GetBucketLocation"}, Resource: []string{arn}},
	}})
	if err == nil && len(text) > maxPolicy {
		return "", fault.New(fault.Invalid, "The prefix is longer than AWS allows.")
	}
	return string(text), err
}

// literally writes a prefix so that IAM takes it letter by letter: its wildcards and variables would
// reach beyond the scope that was asked for. Stars at the end mean what the prefix means anyway.
func literally(prefix string) string {
	return strings.NewReplacer("*", "${*}", "?", "${?}", "$", "${$}").Replace(strings.TrimRight(prefix, "*"))
}
