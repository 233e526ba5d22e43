package proto

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestACacheTokenIsNotShown(t *testing.T) {
	const secret = "web1.1790000000.c2VjcmV0"
	token, err := ParseCacheToken(secret)
	if err != nil || token.Reveal() != secret {
		t.Fatalf("ParseCacheToken = %v, %v", token.Reveal(), err)
	}
	a := Assignment{CacheToken: token}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "token", token, "assignment", a)
	shown := fmt.Sprintf("%v %+v %#v %s %q %v %+v %#v %s", token, token, token, token, token, a, a, a, &log)
	if strings.Contains(shown, secret) || !strings.Contains(shown, "(secret)") {
		t.Errorf("shown as %s", shown)
	}
}

func TestParseCacheTokenRefuses(t *testing.T) {
	for _, s := range []string{"", "two words", "a\nb", "a:b", strings.Repeat("x", 257)} {
		if _, err := ParseCacheToken(s); !errors.Is(err, ErrInvalidCacheToken) || s != "" && strings.Contains(err.Error(), s) {
			t.Errorf("ParseCacheToken(%q): error = %v", s, err)
		}
	}
}
