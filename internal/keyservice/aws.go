package keyservice

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/treeline-ci/treeline/internal/fault"
)

// awsKMS is AWS KMS. Its calls stand as functions, for a client that can be reached from a value in an interface keeps all
// its other methods in the program.
type awsKMS struct {
	key     string
	encrypt func(context.Context, *kms.EncryptInput, ...func(*kms.Options)) (*kms.EncryptOutput, error)
	decrypt func(context.Context, *kms.DecryptInput, ...func(*kms.Options)) (*kms.DecryptOutput, error)
}

// newAWS reads awskms:///KEY: an alias, the id of a key, or an ARN.
func newAWS(u *url.URL) (service, error) {
	key := strings.TrimPrefix(u.Path, "/")
	if key == "" || u.Host != "" {
		return nil, fault.New(fault.Invalid, "say awskms:///alias/NAME, or the id or ARN of a key")
	}
	region := u.Query().Get("region")
	if part := strings.Split(key, ":"); region == "" && len(part) == 6 && part[0] == "arn" {
		region = part[3]
	}
	if region = cmp.Or(region, os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION")); region == "" {
		return nil, fault.New(fault.Invalid, "say in which region: add ?region=NAME, or set AWS_REGION")
	}
	o := kms.Options{Region: region, Credentials: aws.NewCredentialsCache(awsCredentials(region))}
	if at := cmp.Or(os.Getenv("AWS_ENDPOINT_URL_KMS"), os.Getenv("AWS_ENDPOINT_URL")); at != "" {
		o.BaseEndpoint = &at
	}
	api := kms.New(o)
	return &awsKMS{key, api.Encrypt, api.Decrypt}, nil
}

// awsCredentials are those of a server, looked for in the order of Amazon's libraries: a key in the environment, an
// identity token (EKS), the address of a container's (ECS, EKS), the role of the instance.
func awsCredentials(region string) aws.CredentialsProvider {
	if id, secret := os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"); id != "" && secret != "" {
		return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: id, SecretAccessKey: secret, SessionToken: os.Getenv("AWS_SESSION_TOKEN"), Source: "environment"}, nil
		})
	}
	if file, role := os.Getenv("AWS_WEB_IDENTITY_TOKEN_FILE"), os.Getenv("AWS_ROLE_ARN"); file != "" && role != "" {
		o := sts.Options{Region: region}
		if at := cmp.Or(os.Getenv("AWS_ENDPOINT_URL_STS"), os.Getenv("AWS_ENDPOINT_URL")); at != "" {
			o.BaseEndpoint = &at
		}
		return stscreds.NewWebIdentityRoleProvider(sts.New(o), role, stscreds.IdentityTokenFile(file), func(o *stscreds.WebIdentityRoleOptions) {
			o.RoleSessionName = cmp.Or(os.Getenv("AWS_ROLE_SESSION_NAME"), "treeline")
		})
	}
	address := os.Getenv("AWS_CONTAINER_CREDENTIALS_FULL_URI")
	if path := os.Getenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"); path != "" {
		address = "http://169.254.170.2" + path
	}
	if address != "" {
		return endpointcreds.New(address, func(o *endpointcreds.Options) {
			o.AuthorizationTokenProvider = endpointcreds.TokenProviderFunc(containerToken)
		})
	}
	return ec2rolecreds.New()
}

// containerToken is what a container shows where its credentials are; the file's is renewed.
func containerToken() (string, error) {
	if path := os.Getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"); path != "" {
		text, err := os.ReadFile(path) //nolint:gosec // the operator names it
		return strings.TrimSpace(string(text)), err
	}
	return os.Getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN"), nil
}

// about is the encryption context: it stands in CloudTrail, and policies of keys may ask for it.
func (*awsKMS) about(deployment string) map[string]string {
	return map[string]string{"application": "treeline", "deployment": deployment}
}

func (k *awsKMS) wrap(ctx context.Context, plain []byte, deployment string) (string, []byte, error) {
	out, err := k.encrypt(ctx, &kms.EncryptInput{KeyId: &k.key, Plaintext: plain, EncryptionContext: k.about(deployment)})
	if err != nil {
		return "", nil, awsError(err)
	}
	return aws.ToString(out.KeyId), out.CiphertextBlob, nil
}

// unwrap names the key that wrapped it: an alias may stand for another one by now.
func (k *awsKMS) unwrap(ctx context.Context, key string, sealed []byte, deployment string) ([]byte, error) {
	out, err := k.decrypt(ctx, &kms.DecryptInput{KeyId: aws.String(cmp.Or(key, k.key)), CiphertextBlob: sealed, EncryptionContext: k.about(deployment)})
	if err != nil {
		return nil, awsError(err)
	}
	return out.Plaintext, nil
}

func awsError(err error) error {
	if answer, ok := errors.AsType[*smithyhttp.ResponseError](err); ok {
		return answered(answer.HTTPStatusCode(), err)
	}
	return answered(0, err)
}
