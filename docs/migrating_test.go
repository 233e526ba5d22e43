package docs_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// theirs are the options that people use of what they come from, by the heading of where the page tells of it.
func theirs() map[string]string {
	return map[string]string{
		"From comin": "enable package hostname repositoryType repositorySubdir systemAttr submodules exporter.listen_address exporter.port exporter.openFirewall " +
			"remotes.*.name remotes.*.url remotes.*.auth.access_token_path remotes.*.auth.username remotes.*.timeout remotes.*.branches.main.name remotes.*.branches.*.operation " +
			"remotes.*.branches.testing remotes.*.poller.period debug machineId gpgPublicKeyPaths postDeploymentCommand buildConfirmer.mode deployConfirmer.mode deployConfirmer.mode.autoconfirm_duration " +
			"desktop.enable desktop.title retention.*",
		"From Cachix Deploy":        "enable package name host profile verbose credentialsFile rollbackScript",
		"From `system.autoUpgrade`": "enable flake dates channel upgrade flags operation allowReboot rebootWindow rebootTriggers randomizedDelaySec fixedRandomDelay persistent runGarbageCollection",
	}
}

// TestMigratingNamesEveryOption: who comes from one of these finds each option that they may have set.
func TestMigratingNamesEveryOption(t *testing.T) {
	page, err := os.ReadFile("migrating.md")
	if err != nil {
		t.Fatal(err)
	}
	for heading, options := range theirs() {
		_, section, found := strings.Cut(string(page), "\n## "+heading+"\n")
		section, _, _ = strings.Cut(section, "\n## ")
		if !found {
			t.Errorf("there is no section %q", heading)
		}
		said := ""
		for _, row := range regexp.MustCompile(`(?m)^\| (.*?) \|`).FindAllStringSubmatch(section, -1) {
			said += row[1] + "\n"
		}
		for option := range strings.FieldsSeq(options) {
			last := option[strings.LastIndex(strings.TrimSuffix(option, ".*"), ".")+1:]
			if !strings.Contains(said, last) {
				t.Errorf("%q says nothing of %s", heading, option)
			}
		}
	}
}

// TestMetricsOfOthersHaveTheirLike: who has alerts on comin's metrics finds what to put in their place.
func TestMetricsOfOthersHaveTheirLike(t *testing.T) {
	page, err := os.ReadFile("metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## What others call them\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for name := range strings.FieldsSeq("build_info deployment_info fetch_count is_suspended need_to_reboot last_fetch_failed last_eval_failed last_build_failed last_deployment_failed") {
		if !regexp.MustCompile("(?m)^\\|[^|]*`comin_" + name + "`[^|]*\\|.*`kedge_\\w+`").MatchString(section) {
			t.Errorf("metrics.md says nothing of comin_%s", name)
		}
	}
}

// TestMigratingLeadsToOptionsThatThereAre: what is said to be the like of an option is one.
func TestMigratingLeadsToOptionsThatThereAre(t *testing.T) {
	page, err := os.ReadFile("migrating.md")
	if err != nil {
		t.Fatal(err)
	}
	there := ""
	for _, name := range []string{"agent", "controller", "fleet"} {
		text, err := os.ReadFile("reference/options-" + name + ".md")
		if err != nil {
			t.Fatal(err)
		}
		there += strings.ReplaceAll(string(text), `\<`, "<")
	}
	seen := 0
	for _, row := range regexp.MustCompile(`(?m)^\| .*? \| (.*) \|$`).FindAllStringSubmatch(string(page), -1) {
		for _, m := range regexp.MustCompile("`((?:services\\.kedge-agent|settings|policy|reboot|gc|sources|probation|trust|rollout|hooks)\\.[\\w.<>]*)").FindAllStringSubmatch(row[1], -1) {
			option := regexp.QuoteMeta(strings.ReplaceAll(m[1], "<channel>", "<name>"))
			seen++
			if !regexp.MustCompile(`(?m)^## [\w.<>-]*`+option+`(\W|$)`).MatchString(there) && !strings.HasSuffix(m[1], ".") {
				t.Errorf("migrating.md leads to %s, and there is no such option", m[1])
			}
		}
	}
	if seen < 15 {
		t.Errorf("looked at %d options only", seen)
	}
}
