package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/treeline-ci/treeline/internal/fault"
)

// S3Config says where a bucket is and how it is reached.
type S3Config struct {
	Endpoint       string // scheme, host and perhaps port, such as https://s3.eu-central-1.amazonaws.com
	PublicEndpoint string // the same as clients reach it, for signed URLs; "": Endpoint
	Bucket         string // must exist
	Prefix         string // of all keys, "" or ending with a slash
	Region         string // that requests are signed for; "": us-east-1
	AccessKey      string // with SecretKey; both "": the credentials of the machine or container
	SecretKey      string
}

// S3 is a bucket, or the part of one under a prefix:
//
//	sha256/ab/cdef…   contents, by their hash
//	uploads/…         what is being uploaded
//
// Small contents are put at their key. Larger ones come to a key of their own as a multipart upload,
// of which no more than a part is in memory, and are copied by the service once they are verified.
type S3 struct {
	core    minio.Core
	public  *minio.Client
	bucket  string
	prefix  string
	patient time.Duration // how long a transfer may stand still
}

// OpenS3 makes a client of a bucket; it does not speak to the service yet.
func OpenS3(c S3Config) (*S3, error) {
	if c.Bucket == "" {
		return nil, fault.New(fault.Invalid, "no bucket is given")
	}
	if c.Prefix != "" && (!strings.HasSuffix(c.Prefix, "/") || strings.HasPrefix(c.Prefix, "/") || path.Clean("/"+c.Prefix)+"/" != "/"+c.Prefix) {
		return nil, fault.New(fault.Invalid, "the prefix %q must be a path that ends with a slash", c.Prefix)
	}
	if (c.AccessKey == "") != (c.SecretKey == "") {
		return nil, fault.New(fault.Invalid, "access key and secret key must be given together")
	}
	if c.Region == "" {
		c.Region = "us-east-1"
	}
	inner, err := c.client(c.Endpoint)
	if err != nil {
		return nil, err
	}
	s := &S3{core: minio.Core{Client: inner}, public: inner, bucket: c.Bucket, prefix: c.Prefix, patient: 30 * time.Second}
	if c.PublicEndpoint != "" {
		s.public, err = c.client(c.PublicEndpoint)
	}
	return s, err
}

func (c S3Config) client(endpoint string) (*minio.Client, error) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.Trim(u.Path, "/") != "" || u.User != nil {
		return nil, fault.New(fault.Invalid, "the endpoint %q must be scheme, host and perhaps port, such as https://s3.eu-central-1.amazonaws.com", endpoint)
	}
	keys := credentials.NewStaticV4(c.AccessKey, c.SecretKey, "")
	if c.AccessKey == "" {
		keys = credentials.NewIAM("")
	}
	return minio.New(u.Host, &minio.Options{
		Creds: keys, Secure: u.Scheme == "https", Region: c.Region, MaxRetries: 6,
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DialContext: (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
			TLSHandshakeTimeout: 10 * time.Second, ResponseHeaderTimeout: 5 * time.Minute, IdleConnTimeout: 90 * time.Second,
			MaxIdleConnsPerHost: 64, DisableCompression: true, // bytes are kept as they are
		},
	})
}

// Check asks the service whether the bucket is there and may be used.
func (s *S3) Check(ctx context.Context) error {
	there, err := s.core.BucketExists(ctx, s.bucket)
	if err != nil {
		return s.trouble("reach", err)
	}
	if !there {
		return fault.New(fault.Invalid, "the bucket %s does not exist", s.bucket)
	}
	return nil
}

func (s *S3) key(sum string) string { return s.prefix + "sha256/" + sum[:2] + "/" + sum[2:] }

// trouble gives an error of the service its meaning.
func (s *S3) trouble(verb string, err error) error {
	if err == nil {
		return nil
	}
	switch answer := minio.ToErrorResponse(err); answer.Code {
	case minio.NoSuchKey, minio.NoSuchUpload, minio.InvalidPart, "NotFound":
		return fmt.Errorf("%s in bucket %s: %w", verb, s.bucket, fs.ErrNotExist)
	}
	return trouble(fmt.Errorf("%s in bucket %s: %w", verb, s.bucket, err))
}

// Stat implements Store.
func (s *S3) Stat(ctx context.Context, sum string) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, s.patient)
	defer cancel()
	info, err := s.core.StatObject(ctx, s.bucket, s.key(sum), minio.StatObjectOptions{})
	if err != nil {
		return 0, s.trouble("stat", err)
	}
	return info.Size, nil
}

// Remove implements Store.
func (s *S3) Remove(ctx context.Context, sum string) error { return s.remove(ctx, s.key(sum)) }

func (s *S3) remove(ctx context.Context, key string) error {
	err := s.trouble("remove", s.core.RemoveObject(ctx, s.bucket, key, minio.RemoveObjectOptions{}))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// List implements Store.
func (s *S3) List(ctx context.Context, after string, limit int) ([]Entry, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the listing behind the channel
	options := minio.ListObjectsOptions{Prefix: s.prefix + "sha256/", Recursive: true, MaxKeys: limit}
	if len(after) > 2 {
		options.StartAfter = s.key(after)
	}
	var list []Entry
	for o := range s.core.Client.ListObjects(ctx, s.bucket, options) {
		if o.Err != nil {
			return nil, s.trouble("list", o.Err)
		}
		sum := strings.ReplaceAll(strings.TrimPrefix(o.Key, options.Prefix), "/", "")
		if isSum(sum) && sum > after {
			list = append(list, Entry{sum, o.Size, o.LastModified})
		}
		if len(list) == limit {
			break
		}
	}
	return list, nil
}

// Tidy implements Store.
func (s *S3) Tidy(ctx context.Context, age time.Duration, keep func(context.Context, string) (bool, error)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	uploads := s.prefix + "uploads/"
	stale := func(key string, since time.Time) (bool, error) {
		if time.Since(since) < age {
			return false, nil
		}
		kept, err := keep(ctx, key)
		return !kept, err
	}
	for u := range s.core.ListIncompleteUploads(ctx, s.bucket, uploads, true) {
		if u.Err != nil {
			return s.trouble("list uploads", u.Err)
		}
		drop, err := stale(u.Key, u.Initiated)
		if err == nil && drop {
			err = s.abort(ctx, u.Key, u.UploadID)
		}
		if err != nil {
			return err
		}
	}
	for o := range s.core.Client.ListObjects(ctx, s.bucket, minio.ListObjectsOptions{Prefix: uploads, Recursive: true}) {
		if o.Err != nil {
			return s.trouble("list uploads", o.Err)
		}
		drop, err := stale(o.Key, o.LastModified)
		if err == nil && drop {
			err = s.remove(ctx, o.Key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// SignGet implements Signer.
func (s *S3) SignGet(ctx context.Context, sum string, as Served, valid time.Duration) (string, error) {
	query := url.Values{"response-content-type": {as.ContentType}, "response-content-disposition": {as.Disposition}}
	if as.Encoding != "" {
		query.Set("response-content-encoding", as.Encoding)
	}
	u, err := s.public.PresignedGetObject(ctx, s.bucket, s.key(sum), valid, query)
	if err != nil {
		return "", s.trouble("sign a URL", err)
	}
	return u.String(), nil
}

// SignPut implements Signer.
func (s *S3) SignPut(ctx context.Context, ticket string, size int64, contentType string, valid time.Duration) (string, map[string]string, error) {
	headers := map[string]string{"Content-Type": contentType, "Content-Length": fmt.Sprint(size)}
	signed := http.Header{}
	for name, value := range headers {
		signed.Set(name, value)
	}
	u, err := s.public.PresignHeader(ctx, http.MethodPut, s.bucket, ticket, valid, nil, signed)
	if err != nil {
		return "", nil, s.trouble("sign a URL", err)
	}
	return u.String(), headers, nil
}

// NewPut implements Signer.
func (s *S3) NewPut() string { return s.uploadKey() }

// MaxPut implements Signer: what S3 takes in one PUT.
func (s *S3) MaxPut() int64 { return 5 << 30 }

// Inspect implements Signer. The ticket of the result has the ETag too, for the URL may still take
// other bytes: only those that were looked at are ever placed.
func (s *S3) Inspect(ctx context.Context, ticket string) (*Staged, error) {
	key, _, _ := strings.Cut(ticket, " ")
	info, err := s.core.StatObject(ctx, s.bucket, key, minio.StatObjectOptions{})
	if err != nil {
		return nil, s.trouble("stat", err)
	}
	body := s.read(ctx, key, info.Size)
	body.etag = info.ETag
	sums, err := HashOf(body)
	if err := errors.Join(err, body.Close()); err != nil {
		return nil, err
	}
	return &Staged{Sums: sums, Ticket: key + etagMark + info.ETag}, nil
}

// etagMark stands between key and ETag in the ticket of bytes that were looked at.
const etagMark = " etag:"
