package blobs

import (
	"context"
	"maps"

	"gocloud.dev/blob/s3blob"
)

// validation is the parameter that says when the library checks what it reads.
const validation = "response_checksum_validation"

func openS3(ctx context.Context, l location) (place, error) {
	// Files are checked against their SHA-256, and the library would complain on standard error
	// about each object that was kept without a checksum of S3's own.
	if !l.query.Has(validation) {
		l.query = maps.Clone(l.query)
		l.query.Set(validation, "when_required")
	}
	b, err := new(s3blob.URLOpener).OpenBucketURL(ctx, l.url())
	if err != nil {
		return nil, err
	}
	return newBucket(b, l), nil
}
