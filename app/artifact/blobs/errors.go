package blobs

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"regexp"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"gocloud.dev/gcerrors"

	"github.com/onda-serving/onda/app/scoring"
)

// explain makes an error for callers of an error of a storage. name is the file, if it was
// about one; where is the place as callers know it. The cause is for the log.
func explain(ctx context.Context, err error, name, where string) error {
	if _, ok := errors.AsType[*scoring.Error](err); ok {
		return err
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	if name != "" {
		where += ": file " + name
	}
	cause := redacted{err}
	switch {
	case isNoBucket(err):
		return scoring.Errorf(scoring.NotFound, "%s: there is no such container or bucket", where).WithCause(cause)
	case isMissing(err):
		return scoring.Errorf(scoring.NotFound, "%s: not found", where).WithCause(cause)
	case isDenied(err):
		return scoring.Errorf(scoring.Denied, "%s: the storage denies it to the server: give the server's identity the right to it", where).WithCause(cause)
	case errors.Is(err, errNotRegular):
		return scoring.Errorf(scoring.Invalid, "%s: %s", where, errNotRegular).WithCause(cause)
	case errors.Is(err, errTooMany):
		return tooMany(where)
	case status(err) == http.StatusRequestedRangeNotSatisfiable:
		return scoring.Errorf(scoring.Invalid, "%s: the file is shorter than was expected", where).WithCause(cause)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return scoring.Errorf(scoring.Unavailable, "%s: the storage did not answer within the time given", where).WithCause(cause)
	default:
		return scoring.Errorf(scoring.Unavailable, "%s: the storage cannot be reached, or gave no usable answer; the server's log has the details", where).WithCause(cause)
	}
}

// isNoBucket tells a container or bucket that is not there from a file in it.
func isNoBucket(err error) bool {
	if azure, ok := errors.AsType[*azcore.ResponseError](err); ok {
		return azure.ErrorCode == "ContainerNotFound"
	}
	var aws interface{ ErrorCode() string }
	return errors.As(err, &aws) && aws.ErrorCode() == "NoSuchBucket"
}

// isMissing tells a file that is not there from a server that is not: gocloud gives both the
// same code where a name cannot be resolved.
func isMissing(err error) bool {
	if _, ok := errors.AsType[*net.DNSError](err); ok || status(err) == http.StatusForbidden {
		return false
	}
	return errors.Is(err, fs.ErrNotExist) || gcerrors.Code(err) == gcerrors.NotFound
}

func isDenied(err error) bool {
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, errEscapes) || gcerrors.Code(err) == gcerrors.PermissionDenied {
		return true
	}
	if login, ok := errors.AsType[*azidentity.AuthenticationFailedError](err); ok && login.RawResponse != nil { // Microsoft Entra ID was reached, and said no
		return true
	}
	code := status(err)
	return code == http.StatusUnauthorized || code == http.StatusForbidden
}

// status is that of a storage's answer; 0 where there was none.
func status(err error) int {
	if azure, ok := errors.AsType[*azcore.ResponseError](err); ok {
		return azure.StatusCode
	}
	var aws interface{ HTTPStatusCode() int }
	if errors.As(err, &aws) {
		return aws.HTTPStatusCode()
	}
	return googleStatus(err)
}

// redacted is an error without the parameters of the URLs in its text: shared access
// signatures are such.
type redacted struct{ err error }

var parameters = regexp.MustCompile(`\?[^\s"']+`)

func (r redacted) Error() string { return parameters.ReplaceAllString(r.err.Error(), "?...") }

func (r redacted) Unwrap() error { return r.err }
