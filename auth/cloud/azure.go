package cloud

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/sas"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/service"

	"github.com/treeline-ci/treeline/internal/fault"
)

// Signature is a shared access signature: a query string to append to an address.
type Signature struct {
	SAS    string
	Expiry time.Time
}

// A signature holds from a little before it is made, for clocks that differ, and not for long.
const (
	azureSkew = 15 * time.Minute
	azureLife = 25 * time.Minute
)

var azureAccountPattern = regexp.MustCompile(`^[a-z0-9]{3,24}$`)

// azureAccounts are the storage accounts by name.
type azureAccounts map[string]*azureAccount

type azureAccount struct {
	name   string
	key    []byte
	blobs  *service.Client
	shared *service.SharedKeyCredential
	https  bool
	tables string
	client *http.Client
}

func newAzure(c AzureConfig, client *http.Client) (azureAccounts, error) {
	out := azureAccounts{}
	for name, given := range c.Accounts {
		account, err := newAzureAccount(name, given, client)
		if err != nil {
			return nil, fmt.Errorf("azure: account %q: %w", name, err)
		}
		out[name] = account
	}
	return out, nil
}

func newAzureAccount(name string, given AzureAccount, client *http.Client) (*azureAccount, error) {
	key, err := base64.StdEncoding.DecodeString(given.Key)
	if err != nil || len(key) == 0 || !azureAccountPattern.MatchString(name) {
		return nil, fmt.Errorf("its name must match %s and its key must be base64", azureAccountPattern)
	}
	blobs, err := address(given.Blobs, "https://"+name+".blob.core.windows.net")
	if err != nil {
		return nil, fmt.Errorf("blobs: %w", err)
	}
	tables, err := address(given.Tables, "https://"+name+".table.core.windows.net")
	if err != nil {
		return nil, fmt.Errorf("tables: %w", err)
	}
	shared, err := service.NewSharedKeyCredential(name, given.Key)
	if err != nil {
		return nil, errors.New("its key cannot be used")
	}
	o := &service.ClientOptions{ClientOptions: azcore.ClientOptions{Transport: client}}
	o.Retry.MaxRetries, o.Retry.RetryDelay = 2, 200*time.Millisecond
	out := &azureAccount{name: name, key: key, shared: shared, https: strings.HasPrefix(blobs, "https://"), tables: tables, client: client}
	out.blobs, err = service.NewClientWithSharedKeyCredential(blobs+"/", shared, o)
	return out, err
}

// AzureAccounts lists the accounts, in order.
func (c *Cloud) AzureAccounts() ([]string, error) {
	if len(c.azure) == 0 {
		return nil, notConfigured("Azure", "azure")
	}
	return slices.Sorted(maps.Keys(c.azure)), nil
}

func (c *Cloud) azureAccount(name string) (*azureAccount, error) {
	if len(c.azure) == 0 {
		return nil, notConfigured("Azure", "azure")
	}
	account := c.azure[name]
	if account == nil {
		return nil, fault.New(fault.NotFound, "This deployment hands out no credentials for the Azure account %s.", name)
	}
	return account, nil
}

// AzureContainers lists containers of an account from a token on, in Azure's own pages. The token
// returned is "" after the last.
func (c *Cloud) AzureContainers(ctx context.Context, account, token string) (names []string, next string, err error) {
	a, err := c.azureAccount(account)
	if err != nil {
		return nil, "", err
	}
	o := &service.ListContainersOptions{}
	if token != "" {
		o.Marker = &token
	}
	page, err := a.blobs.NewListContainersPager(o).NextPage(ctx)
	if err != nil {
		return nil, "", azureError(err)
	}
	for _, item := range page.ContainerItems {
		if item.Name != nil {
			names = append(names, *item.Name)
		}
	}
	if page.NextMarker != nil {
		next = *page.NextMarker
	}
	return names, next, nil
}

// AzureContainer signs for a container. Read-write makes it when it does not exist.
func (c *Cloud) AzureContainer(ctx context.Context, now time.Time, account, container string, level Level) (Signature, error) {
	a, err := c.azureAccount(account)
	if err != nil {
		return Signature{}, err
	}
	writes := level == ReadWrite
	if writes {
		_, err := a.blobs.CreateContainer(ctx, container, nil)
		if err != nil && !bloberror.HasCode(err, bloberror.ContainerAlreadyExists) {
			return Signature{}, azureError(err)
		}
	}
	allowed := sas.ContainerPermissions{Read: true, List: true, Add: writes, Create: writes, Write: writes, Delete: writes}
	values := sas.BlobSignatureValues{
		ContainerName: container, Permissions: allowed.String(),
		StartTime: now.Add(-azureSkew).UTC(), ExpiryTime: now.Add(azureLife).UTC(),
	}
	if a.https {
		values.Protocol = sas.ProtocolHTTPS
	}
	signed, err := values.SignWithSharedKey(a.shared)
	if err != nil {
		return Signature{}, fmt.Errorf("cloud: sign for container %s: %w", container, err)
	}
	return Signature{signed.Encode(), values.ExpiryTime}, nil
}

// azureError tells a fault of Azure from one of the configuration, without the request's headers.
func azureError(err error) error {
	if answer, ok := errors.AsType[*azcore.ResponseError](err); ok {
		return refused("Azure", answer.StatusCode, errors.New(answer.ErrorCode))
	}
	return refused("Azure", 0, err)
}
