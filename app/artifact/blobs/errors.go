package blobs

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"syscall"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"gocloud.dev/gcerrors"

	"github.com/onda-serving/onda/app/artifact/blobs/gcs"
	"github.com/onda-serving/onda/app/scoring"
)

// errUnwritable says that it was a write that was not allowed: see [folder.write].
var errUnwritable = errors.New("no right to write")

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
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return scoring.Errorf(scoring.Unavailable, "%s: it is full: make room there, or name another place in the server's settings", where).WithCause(cause)
	case errors.Is(err, errUnwritable), errors.Is(err, syscall.EROFS):
		return scoring.Errorf(scoring.Unavailable, "%s: it cannot be written: it is read-only, or not Onda's: give the user that Onda runs as the right to it, or name another place in the server's settings", where).WithCause(cause)
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

// isUnwritable says whether an error is that nothing can be written to a
// folder: it is full, read-only or somebody else's. Another try does not help.
func isUnwritable(err error) bool {
	return errors.Is(err, errUnwritable) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EROFS)
}

// isNoBucket tells a container or bucket that is not there from a file in it.
func isNoBucket(err error) bool {
	if azure, ok := errors.AsType[*azcore.ResponseError](err); ok {
		return azure.ErrorCode == "ContainerNotFound"
	}
	if answer, ok := errors.AsType[*gcs.Error](err); ok {
		return answer.NoBucket()
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
	return errors.Is(err, fs.ErrNotExist) || googleStatus(err) == http.StatusNotFound || gcerrors.Code(err) == gcerrors.NotFound
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

// redacted is an error for the log, and for the operators who are shown a cause: without the
// parameters of the URLs in its text, as shared access signatures are such, and without the
// names of system calls and the paths inside a folder.
type redacted struct{ err error }

var parameters = regexp.MustCompile(`\?[^\s"']+`)

// Error is the text without them.
func (r redacted) Error() string {
	text := r.err.Error()
	if inner, ok := errors.AsType[*fs.PathError](r.err); ok {
		text = strings.ReplaceAll(text, inner.Error(), inner.Err.Error())
	}
	if inner, ok := errors.AsType[*os.LinkError](r.err); ok {
		text = strings.ReplaceAll(text, inner.Error(), inner.Err.Error())
	}
	return parameters.ReplaceAllString(text, "?...")
}

func (r redacted) Unwrap() error { return r.err }
