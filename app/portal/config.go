package portal

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/kelseyhightower/envconfig"
	"github.com/rs/zerolog"
)

// Bounds of the settings. They are wide: they catch a wrong unit, not a taste.
const (
	minBody    ByteSize = 1 << 10
	maxBody    ByteSize = 256 << 20
	minTimeout          = 100 * time.Millisecond
	maxTimeout          = 5 * time.Minute
)

// name is what Dapr routes and Onda resolves without any escaping, for app ids
// as for model names.
var name = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

// Config holds the settings of the portal. LoadConfig fills it from the
// environment; tests fill it by hand.
type Config struct {
	// Listen is the address of the web page (PORTAL_LISTEN). The default is
	// reachable from this machine alone, because the page asks nobody for a
	// password.
	Listen string `default:"127.0.0.1:8090" split_words:"true"`
	// OndaAppID is the Dapr app id of Onda (PORTAL_ONDA_APP_ID).
	OndaAppID string `default:"onda" split_words:"true"`
	// Sidecar is the HTTP address of this app's own sidecar (PORTAL_SIDECAR).
	// Empty means port DAPR_HTTP_PORT, which `dapr run` sets, on loopback.
	Sidecar string `split_words:"true"`
	// MaxBody bounds a picture (PORTAL_MAX_BODY), as in 16MiB. The sidecar has
	// a bound of its own, --max-body-size, 4Mi unless raised.
	MaxBody ByteSize `default:"16MiB" split_words:"true"`
	// Timeout is the budget of one scoring, retries included (PORTAL_TIMEOUT).
	Timeout time.Duration `default:"10s" split_words:"true"`
	// FAQModel answers questions (PORTAL_FAQ_MODEL).
	FAQModel string `default:"faq-matching" split_words:"true"`
	// ImageModel classifies pictures (PORTAL_IMAGE_MODEL).
	ImageModel string `default:"image-classification" split_words:"true"`

	// LogLevel is LOG_LEVEL: trace, debug, info, warn, error or disabled.
	LogLevel zerolog.Level `ignored:"true"`
	// APIToken is DAPR_API_TOKEN, sent to the sidecar where it asks for one.
	APIToken string `ignored:"true"`
}

// shared are the settings that carry no prefix, because Dapr or the platform
// sets them for every app alike.
type shared struct {
	LogLevel     string `default:"info" split_words:"true"`
	DaprHTTPPort uint16 `default:"3501" envconfig:"DAPR_HTTP_PORT"`
	DaprAPIToken string `envconfig:"DAPR_API_TOKEN"`
}

// LoadConfig reads the settings from the environment and checks them. Its error
// is one line that names the variable, its value and what would be right.
func LoadConfig() (Config, error) {
	var (
		cfg Config
		env shared
	)
	if err := envconfig.Process("PORTAL", &cfg); err != nil {
		return Config{}, unreadable(err)
	}
	if err := envconfig.Process("", &env); err != nil {
		return Config{}, unreadable(err)
	}

	level, err := zerolog.ParseLevel(env.LogLevel)
	if err != nil || env.LogLevel == "" {
		return Config{}, wrong("LOG_LEVEL", env.LogLevel, "want trace, debug, info, warn, error or disabled")
	}
	cfg.LogLevel = level
	cfg.APIToken = env.DaprAPIToken
	if cfg.Sidecar == "" {
		cfg.Sidecar = fmt.Sprintf("http://127.0.0.1:%d", env.DaprHTTPPort)
	}

	return cfg, cfg.Validate()
}

// Validate says which setting cannot work, the first one only.
func (c *Config) Validate() error {
	if err := checkListen(c.Listen); err != nil {
		return err
	}
	if err := checkSidecar(c.Sidecar); err != nil {
		return err
	}
	for _, n := range []struct{ variable, value string }{
		{"PORTAL_ONDA_APP_ID", c.OndaAppID},
		{"PORTAL_FAQ_MODEL", c.FAQModel},
		{"PORTAL_IMAGE_MODEL", c.ImageModel},
	} {
		if !name.MatchString(n.value) {
			return wrong(n.variable, n.value, "want a name of letters, digits, '.', '_' and '-'")
		}
	}
	if c.MaxBody < minBody || c.MaxBody > maxBody {
		return wrong("PORTAL_MAX_BODY", c.MaxBody.String(), fmt.Sprintf("want %v to %v", minBody, maxBody))
	}
	if c.Timeout < minTimeout || c.Timeout > maxTimeout {
		return wrong("PORTAL_TIMEOUT", c.Timeout.String(), fmt.Sprintf("want %v to %v", minTimeout, maxTimeout))
	}

	return nil
}

func checkListen(value string) error {
	const want = "want host:port, as in 127.0.0.1:8090"

	_, port, err := net.SplitHostPort(value)
	if err != nil {
		return wrong("PORTAL_LISTEN", value, want)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return wrong("PORTAL_LISTEN", value, want)
	}

	return nil
}

func checkSidecar(value string) error {
	u, err := url.Parse(value)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" ||
		strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
		return wrong("PORTAL_SIDECAR", value, "want the sidecar's address, as in http://127.0.0.1:3501")
	}

	return nil
}

func wrong(variable, value, want string) error {
	return fmt.Errorf("%s=%q: %s", variable, value, want)
}

// unreadable turns envconfig's account, which speaks of Go fields and types,
// into a line about the variable.
func unreadable(err error) error {
	if parse, ok := errors.AsType[*envconfig.ParseError](err); ok {
		return fmt.Errorf("%s=%q: %w", parse.KeyName, parse.Value, parse.Err)
	}

	return fmt.Errorf("read environment: %w", err)
}

// ByteSize is a number of bytes that reads and writes as 16MiB.
type ByteSize int64

// binaryUnits from the largest, so that the longest suffix is tried first and
// String picks the largest unit that divides the value.
var binaryUnits = []struct {
	suffix string
	bytes  ByteSize
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

// UnmarshalText reads a plain number of bytes or a number with KiB, MiB or GiB.
func (b *ByteSize) UnmarshalText(text []byte) error {
	digits, unit := string(text), ByteSize(1)
	for _, u := range binaryUnits {
		if head, ok := strings.CutSuffix(digits, u.suffix); ok {
			digits, unit = strings.TrimSpace(head), u.bytes

			break
		}
	}

	n, err := strconv.ParseUint(digits, 10, 31)
	if err != nil {
		return errors.New("want a size in bytes or with a unit, as in 16MiB")
	}
	*b = ByteSize(n) * unit

	return nil
}

// String writes the size with the largest unit that keeps it whole.
func (b ByteSize) String() string {
	for _, u := range binaryUnits {
		if b >= u.bytes && b%u.bytes == 0 {
			return fmt.Sprintf("%d%s", b/u.bytes, u.suffix)
		}
	}

	return strconv.FormatInt(int64(b), 10)
}
