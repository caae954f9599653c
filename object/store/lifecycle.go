package store

import (
	"context"
	"fmt"
	"strings"

	"github.com/minio/minio-go/v7"
)

// Expiring says which rules of the bucket remove contents by their age; a service that knows no rules has none. Rules
// about old versions and uploads that were given up are fine.
func (s *S3) Expiring(ctx context.Context) ([]string, error) {
	config, err := s.core.GetBucketLifecycle(ctx, s.bucket)
	switch code := minio.ToErrorResponse(err).Code; {
	case err == nil:
	case code == "NoSuchLifecycleConfiguration", code == "NotImplemented", code == "MethodNotAllowed", code == "AccessDenied":
		return nil, nil
	default:
		return nil, s.trouble("read the lifecycle", err)
	}
	var rules []string
	for _, r := range config.Rules {
		prefix := r.RuleFilter.Prefix + r.Prefix
		ends := r.Expiration.Days > 0 || !r.Expiration.Date.IsZero()
		if ends && r.Status == "Enabled" && (strings.HasPrefix(s.prefix, prefix) || strings.HasPrefix(prefix, s.prefix)) {
			rules = append(rules, fmt.Sprintf("the rule %q of the bucket %s removes what begins with %q after %d days", r.ID, s.bucket, prefix, r.Expiration.Days))
		}
	}
	return rules, nil
}
