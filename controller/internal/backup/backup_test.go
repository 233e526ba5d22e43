package backup

import (
	"archive/tar"
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
)

var (
	made  = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	parts = []string{"rollouts", "desired", "operators.json", "keys"}
)

// state is a state directory, by name.
func state() map[string]string {
	return map[string]string{
		"keys/controller": "secret", "keys/nats.json": "seeds", "desired/web1.json": "1", "rollouts/main/current.json": "r", "operators.json": "o",
	}
}

func write(t *testing.T, dir string, files map[string]string) string {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), dirPerm); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), filePerm); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// contents returns every file below a directory.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		files[name] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func identity(t *testing.T) *age.X25519Identity {
	t.Helper()
	i, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func save(t *testing.T, dir string, i *age.X25519Identity) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Save(&b, dir, Head{Made: made, Version: "1.2.3", Host: "build", Parts: parts}, []age.Recipient{i.Recipient()}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func load(t *testing.T, sealed []byte, i *age.X25519Identity) Backup {
	t.Helper()
	b, err := Load(bytes.NewReader(sealed), parts, i)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func order(dir string) Order {
	return Order{Dir: dir, Keys: "keys", Derived: "keys/controller.creds", Parts: parts, Now: made}
}

func TestRestoreOnAnEmptyDiskIsWhatWasSaved(t *testing.T) {
	i := identity(t)
	files := state()
	files["lock"], files["nats/big"], files["desired/.web1.json.tmp-X"] = "", "stream", "torn"
	sealed := save(t, write(t, t.TempDir(), files), i)
	if bytes.Contains(sealed, []byte("secret")) {
		t.Error("a secret is to be read in the backup")
	}
	dir := t.TempDir()
	aside, err := load(t, sealed, i).Restore(order(dir))
	if err != nil || aside != "" {
		t.Fatalf("restore: %q, %v", aside, err)
	}
	if diff := cmp.Diff(state(), contents(t, dir)); diff != "" {
		t.Errorf("restored (-want +got):\n%s", diff)
	}
	stat, err := os.Stat(filepath.Join(dir, "keys/controller"))
	if err != nil || stat.Mode().Perm() != filePerm {
		t.Errorf("key: %v, %v", stat, err)
	}
}

func TestRestoreMovesAsideWhatWasThere(t *testing.T) {
	i := identity(t)
	b := load(t, save(t, write(t, t.TempDir(), state()), i), i)
	now := state()
	now["desired/web1.json"], now["desired/web2.json"], now["keys/controller.creds"], now["cache/x"] = "2", "new", "derived", "nar"
	dir := write(t, t.TempDir(), now)
	aside, err := b.Restore(order(dir))
	if err != nil {
		t.Fatal(err)
	}
	want := state()
	want["cache/x"] = "nar"
	for name, text := range now {
		if name != "cache/x" {
			want[filepath.Join(filepath.Base(aside), name)] = text
		}
	}
	if diff := cmp.Diff(want, contents(t, dir)); diff != "" {
		t.Errorf("after restoring (-want +got):\n%s", diff)
	}
}

func TestRestoreOfKeysLeavesTheRest(t *testing.T) {
	i := identity(t)
	b := load(t, save(t, write(t, t.TempDir(), state()), i), i)
	dir := write(t, t.TempDir(), map[string]string{"desired/db1.json": "3"})
	o := order(dir)
	o.Parts = []string{"keys"}
	if _, err := b.Restore(o); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"keys/controller": "secret", "keys/nats.json": "seeds", "desired/db1.json": "3"}
	if diff := cmp.Diff(want, contents(t, dir)); diff != "" {
		t.Errorf("after restoring (-want +got):\n%s", diff)
	}
}

func TestRestoreLosesNoKey(t *testing.T) {
	i := identity(t)
	b := load(t, save(t, write(t, t.TempDir(), state()), i), i)
	for name, keys := range map[string]map[string]string{
		"another controller's":    {"keys/controller": "0ther-text"},
		"one that was added then": {"keys/controller": "secret", "keys/controller-2": "next"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := write(t, t.TempDir(), keys)
			_, err := b.Restore(order(dir))
			if err == nil || !strings.Contains(err.Error(), "--force") || strings.Contains(err.Error(), "0ther-text") {
				t.Errorf("restore: %v", err)
			}
			if diff := cmp.Diff(keys, contents(t, dir)); diff != "" {
				t.Errorf("after a refusal (-want +got):\n%s", diff)
			}
			o := order(dir)
			o.Force = true
			aside, err := b.Restore(o)
			if err != nil || len(contents(t, aside)) != len(keys) {
				t.Errorf("with force: %v", err)
			}
		})
	}
}

// TestRestoreGoesOnAfterACrash begins where one crashed that had moved a part aside and
// not the new one in its place.
func TestRestoreGoesOnAfterACrash(t *testing.T) {
	i := identity(t)
	b := load(t, save(t, write(t, t.TempDir(), state()), i), i)
	dir := write(t, t.TempDir(), map[string]string{
		"rollouts/main/current.json": "r", unfinished + "/desired/web1.json": "torn", "operators.json": "old", "keys/controller": "secret",
	})
	if err := Unfinished(dir); !errors.Is(err, ErrUnfinished) {
		t.Errorf("unfinished: %v", err)
	}
	if _, err := b.Restore(order(dir)); err != nil {
		t.Fatal(err)
	}
	if err := Unfinished(dir); err != nil {
		t.Errorf("unfinished: %v", err)
	}
	for name, want := range state() {
		if got := contents(t, dir)[name]; got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
}

// TestARestoreOfKeysDoesNotEndOneOfEverything: half of that would stay as it was.
func TestARestoreOfKeysDoesNotEndOneOfEverything(t *testing.T) {
	i := identity(t)
	b := load(t, save(t, write(t, t.TempDir(), state()), i), i)
	dir := write(t, t.TempDir(), map[string]string{
		"operators.json": "old", "desired/web1.json": "old", "aside/desired/web1.json": "is in the way",
	})
	whole := order(dir)
	stage := filepath.Join(dir, unfinished)
	if err := b.prepare(whole, stage); err != nil {
		t.Fatal(err)
	}
	if _, err := swap(whole, stage, filepath.Join(dir, "aside")); err == nil {
		t.Fatal("the swap did not fail in the middle: the test is blind")
	}
	keys := whole
	keys.Parts = []string{"operators.json", "keys"}
	for range 2 {
		if _, err := b.Restore(keys); !errors.Is(err, ErrUnfinished) || !strings.Contains(err.Error(), "without --keys-only") {
			t.Errorf("restore of the keys: %v, want that it is refused, with advice", err)
		}
	}
	if err := Unfinished(dir); !errors.Is(err, ErrUnfinished) {
		t.Errorf("unfinished: %v", err)
	}
	if _, err := b.Restore(whole); err != nil {
		t.Fatal(err)
	}
	for name, want := range state() {
		if got := contents(t, dir)[name]; got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	if _, err := b.Restore(keys); err != nil {
		t.Errorf("restore of the keys afterwards: %v", err)
	}
}

// TestWhatIsHalfRestoredIsNeverTakenForWhole crashes again, while the restore that goes
// on prepares what it puts in place: the directory that says so is the same all along.
func TestWhatIsHalfRestoredIsNeverTakenForWhole(t *testing.T) {
	i := identity(t)
	b := load(t, save(t, write(t, t.TempDir(), state()), i), i)
	dir := write(t, t.TempDir(), map[string]string{unfinished + "/desired/web1.json": "torn", unfinished + "/old": "x"})
	stage := filepath.Join(dir, unfinished)
	held, err := os.Open(stage) // no other one gets its number
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if err := b.prepare(order(dir), stage); err != nil {
		t.Fatal(err)
	}
	before, err := held.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if after, err := os.Stat(stage); err != nil || !os.SameFile(before, after) {
		t.Errorf("the directory was away: %v", err)
	}
	if diff := cmp.Diff(state(), contents(t, stage)); diff != "" {
		t.Errorf("prepared (-want +got):\n%s", diff)
	}
}

func TestWhatCannotBePreparedLeavesAllAsItWas(t *testing.T) {
	b := Backup{files: []file{{name: "keys", data: nil}, {name: "keys/controller", data: nil}}} // a file in a file
	dir := write(t, t.TempDir(), map[string]string{"operators.json": "old"})
	if _, err := b.Restore(order(dir)); err == nil {
		t.Fatal("it was restored")
	}
	if diff := cmp.Diff(map[string]string{"operators.json": "old"}, contents(t, dir)); diff != "" || Unfinished(dir) != nil {
		t.Errorf("after a failure (-want +got):\n%s, %v", diff, Unfinished(dir))
	}
}

func TestLoadRefusesWhatIsNotWhole(t *testing.T) {
	i := identity(t)
	sealed := save(t, write(t, t.TempDir(), state()), i)
	flipped := bytes.Clone(sealed)
	flipped[len(flipped)-40] ^= 1
	for name, tt := range map[string]struct {
		data []byte
		by   *age.X25519Identity
	}{
		"cut short": {sealed[:len(sealed)-1], i}, "cut to half": {sealed[:len(sealed)/2], i}, "changed": {flipped, i},
		"another key": {sealed, identity(t)}, "empty": {nil, i}, "something else": {[]byte("hello"), i},
	} {
		if b, err := Load(bytes.NewReader(tt.data), parts, tt.by); err == nil {
			t.Errorf("%s: loaded %d files", name, len(b.files))
		}
	}
}

func TestLoadRefusesWhatItDoesNotKnow(t *testing.T) {
	i := identity(t)
	head := `{"format":1,"version":"9.9.9"}`
	for name, tt := range map[string]struct {
		files []file
		want  string
	}{
		"a newer format":        {[]file{{headName, []byte(`{"format":2,"version":"9.9.9"}`)}}, "kedge-controller 9.9.9"},
		"no head":               {[]file{{"keys/controller", nil}}, "no backup"},
		"nothing":               {nil, "EOF"},
		"a part of tomorrow":    {[]file{{headName, []byte(head)}, {"moons.json", nil}}, "kedge-controller 9.9.9"},
		"a way out":             {[]file{{headName, []byte(head)}, {"keys/../../x", nil}}, "does not know"},
		"an absolute path":      {[]file{{headName, []byte(head)}, {"/etc/passwd", nil}}, "does not know"},
		"a name like a part's":  {[]file{{headName, []byte(head)}, {"keys2/x", nil}}, "does not know"},
		"a head that is no one": {[]file{{headName, []byte("{")}}, headName},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load(bytes.NewReader(seal(t, i, tt.files)), parts, i)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want %q", err, tt.want)
			}
		})
	}
}

// seal makes a backup of any files.
func seal(t *testing.T, i *age.X25519Identity, files []file) []byte {
	t.Helper()
	var b bytes.Buffer
	sealed, err := age.Encrypt(&b, i.Recipient())
	if err != nil {
		t.Fatal(err)
	}
	packed, err := zstd.NewWriter(sealed)
	if err != nil {
		t.Fatal(err)
	}
	archive := tar.NewWriter(packed)
	for _, f := range files {
		if err := addFile(archive, f.name, f.data, made); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(archive.Close(), packed.Close(), sealed.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestSecretsComeFromFilesThatNobodyElseReads(t *testing.T) {
	dir := t.TempDir()
	i := identity(t)
	write(t, dir, map[string]string{"phrase": "correct horse\n", "empty": "\n", "keys.txt": i.String() + "\n", "public": i.Recipient().String() + "\n"})
	at := func(name string) string { return filepath.Join(dir, name) }
	var sealed bytes.Buffer
	to, err := Secret{PassphraseFile: at("phrase")}.Recipients()
	if err != nil {
		t.Fatal(err)
	}
	to[0].(*age.ScryptRecipient).SetWorkFactor(10) //nolint:forcetypeassert // what slows guessing down is age's, and takes seconds
	if err := Save(&sealed, write(t, t.TempDir(), state()), Head{Parts: parts}, to); err != nil {
		t.Fatal(err)
	}
	by, err := Secret{PassphraseFile: at("phrase")}.Identities()
	if err != nil {
		t.Fatal(err)
	}
	if b, err := Load(&sealed, parts, by...); err != nil || len(b.files) != len(state()) {
		t.Errorf("load with the passphrase: %d files, %v", len(b.files), err)
	}
	if to, err := (Secret{RecipientsFile: at("public")}).Recipients(); err != nil || len(to) != 1 {
		t.Errorf("recipients: %v, %v", to, err)
	}
	if by, err := (Secret{IdentitiesFile: at("keys.txt")}).Identities(); err != nil || len(by) != 1 {
		t.Errorf("identities: %v, %v", by, err)
	}
	if err := errors.Join(os.Chmod(at("phrase"), 0o644), os.Chmod(at("keys.txt"), 0o640)); err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]Secret{
		"exposed passphrase": {PassphraseFile: at("phrase")}, "empty passphrase": {PassphraseFile: at("empty")},
		"exposed identities": {IdentitiesFile: at("keys.txt")}, "missing": {IdentitiesFile: at("none")}, "no identities": {IdentitiesFile: at("empty")},
	} {
		_, err := s.Identities()
		if err == nil || strings.Contains(err.Error(), "horse") || strings.Contains(err.Error(), "AGE-SECRET") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
