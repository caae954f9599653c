package keyservice

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"os"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"

	"github.com/treeline-ci/treeline/internal/fault"
)

// azureKeys are the keys of an Azure Key Vault, or of a managed HSM.
type azureKeys struct {
	vault, key string
	algorithm  azkeys.EncryptionAlgorithm
	wrapKey    func(context.Context, string, string, azkeys.KeyOperationParameters, *azkeys.WrapKeyOptions) (azkeys.WrapKeyResponse, error)
	unwrapKey  func(context.Context, string, string, azkeys.KeyOperationParameters, *azkeys.UnwrapKeyOptions) (azkeys.UnwrapKeyResponse, error)
}

// newAzure reads azurekeyvault://NAME.vault.azure.net/keys/KEY.
func newAzure(u *url.URL) (service, error) { return newAzureWith(u, nil) }

// newAzureWith does the same, over a transport; nil: the library's own.
func newAzureWith(u *url.URL, transport policy.Transporter) (service, error) {
	key, ok := strings.CutPrefix(u.Path, "/keys/")
	if !ok || u.Host == "" || key == "" || strings.Contains(key, "/") {
		return nil, fault.New(fault.Invalid, "say azurekeyvault://NAME.vault.azure.net/keys/KEY, without a version")
	}
	options := azcore.ClientOptions{Transport: transport, Retry: policy.RetryOptions{MaxRetries: 2}}
	credential, err := azureCredential(options)
	if err != nil {
		return nil, err
	}
	api, err := azkeys.NewClient("https://"+u.Host, credential, &azkeys.ClientOptions{ClientOptions: options, DisableChallengeResourceVerification: transport != nil})
	if err != nil {
		return nil, err
	}
	return &azureKeys{"https://" + u.Host, key, azkeys.EncryptionAlgorithm(cmp.Or(u.Query().Get("algorithm"), string(azkeys.EncryptionAlgorithmRSAOAEP256))), api.WrapKey, api.UnwrapKey}, nil
}

// azureCredential is that of a server, in the order of Azure's libraries: a secret in the environment, a workload's token
// (Kubernetes), the managed identity of the machine.
func azureCredential(options azcore.ClientOptions) (azcore.TokenCredential, error) {
	tenant, client := os.Getenv("AZURE_TENANT_ID"), os.Getenv("AZURE_CLIENT_ID")
	if secret := os.Getenv("AZURE_CLIENT_SECRET"); secret != "" {
		return azidentity.NewClientSecretCredential(tenant, client, secret, &azidentity.ClientSecretCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: options.Transport != nil})
	}
	if os.Getenv("AZURE_FEDERATED_TOKEN_FILE") != "" {
		return azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{ClientOptions: options})
	}
	o := azidentity.ManagedIdentityCredentialOptions{ClientOptions: options}
	if client != "" {
		o.ID = azidentity.ClientID(client)
	}
	return azidentity.NewManagedIdentityCredential(&o)
}

// wrap has nothing authenticated: that the key is the deployment's shows in what is wrapped.
func (k *azureKeys) wrap(ctx context.Context, plain []byte, _ string) (string, []byte, error) {
	out, err := k.wrapKey(ctx, k.key, "", azkeys.KeyOperationParameters{Algorithm: &k.algorithm, Value: plain}, nil)
	if err != nil {
		return "", nil, azureError(err)
	}
	if out.KID == nil {
		return "", nil, fault.New(fault.Unavailable, "the answer names no key")
	}
	return string(*out.KID), out.Result, nil
}

// unwrap names the version that wrapped it: RSA does not tell.
func (k *azureKeys) unwrap(ctx context.Context, key string, sealed []byte, _ string) ([]byte, error) {
	version, ours := strings.CutPrefix(key, k.vault+"/keys/"+k.key+"/")
	if !ours {
		return nil, fault.New(fault.Forbidden, "it was wrapped by %.300q", key)
	}
	out, err := k.unwrapKey(ctx, k.key, version, azkeys.KeyOperationParameters{Algorithm: &k.algorithm, Value: sealed}, nil)
	if err != nil {
		return nil, azureError(err)
	}
	return out.Result, nil
}

func azureError(err error) error {
	if answer, ok := errors.AsType[*azcore.ResponseError](err); ok {
		return answered(answer.StatusCode, errors.New(answer.ErrorCode)) // the error itself is a page long
	}
	if failed, ok := errors.AsType[*azidentity.AuthenticationFailedError](err); ok && failed.RawResponse != nil {
		return answered(failed.RawResponse.StatusCode, err)
	}
	return answered(0, err)
}
