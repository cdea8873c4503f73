package admin

import (
	"context"
	"io"

	"github.com/onda-serving/onda/app/scoring"
)

// HasBlob gives the size of the uploaded file with a sum, and whether there is one.
func (a *Admin) HasBlob(ctx context.Context, sum string) (size int64, ok bool, err error) {
	if err := a.checkSum(sum); err != nil {
		return 0, false, err
	}
	return a.Store.Has(ctx, sum)
}

// Upload keeps a file of a version that is to be registered, under its SHA-256. It is not
// visible before it was proved. created is false if it was there; body is not read then.
func (a *Admin) Upload(ctx context.Context, sum string, size int64, body io.Reader) (created bool, err error) {
	have, ok, err := a.HasBlob(ctx, sum)
	if err != nil {
		return false, err
	}
	if ok && have == size {
		return false, nil
	}
	if err := a.Store.Put(ctx, sum, size, body); err != nil {
		return false, err
	}
	return true, nil
}

func (a *Admin) checkSum(sum string) error {
	if a.Store == nil {
		return noStore()
	}
	if !sumForm.MatchString(sum) {
		return scoring.Errorf(scoring.Invalid, "%q is no SHA-256: want 64 hexadecimal digits in lower case", clip(sum))
	}
	return nil
}

func noStore() error {
	return scoring.Errorf(scoring.Unimplemented, "uploads need an artifact store: set ONDA_ARTIFACT_STORE to the URL of one, such as azblob://artifacts, or register the version from a URL")
}
