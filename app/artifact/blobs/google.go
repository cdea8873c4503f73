package blobs

import (
	"context"
	"errors"
	"strconv"

	"gocloud.dev/blob/gcsblob"
	"gocloud.dev/gcp"
	"google.golang.org/api/googleapi"
)

// openGoogle does not use gocloud's own opener: without credentials that prints a warning to
// standard output, and goes on without.
func openGoogle(ctx context.Context, l location) (place, error) {
	opener := gcsblob.URLOpener{Client: gcp.NewAnonymousHTTPClient(gcp.DefaultTransport())}
	if anonymous, _ := strconv.ParseBool(l.query.Get("anonymous")); !anonymous {
		// The credentials fetch new tokens for as long as the bucket is open.
		credentials, err := gcp.DefaultCredentials(context.WithoutCancel(ctx))
		if err != nil {
			return nil, err
		}
		opener.TokenSource = gcp.CredentialsTokenSource(credentials)
		if opener.Client, err = gcp.NewHTTPClient(gcp.DefaultTransport(), opener.TokenSource); err != nil {
			return nil, err
		}
	}
	b, err := opener.OpenBucketURL(ctx, l.url())
	if err != nil {
		return nil, err
	}
	return newBucket(b, l), nil
}

// googleStatus is the status of an answer of Google's; 0 if err is none.
func googleStatus(err error) int {
	if google, ok := errors.AsType[*googleapi.Error](err); ok {
		return google.Code
	}
	return 0
}
