package demo

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"strings"

	"cipherdeck/assets"
	"cipherdeck/crypto/progress"
	"cipherdeck/vault/dataset"
	"cipherdeck/vault/project"
)

// The demonstration's files, as Alice has them.
const (
	dataName  = "wdbc.csv"
	modelName = "logreg.onnx"
	labelName = "malignant"
)

// actSeal starts the server and the node, seals the dataset and the model into
// a project, reads them back, and looks for them on the server's disk.
func actSeal(ctx context.Context, s *Stage, t *teller, sink progress.Sink) error {
	sink.Phase("start server and node", 0, progress.None)
	if err := s.setUp(ctx); err != nil {
		return err
	}
	t.say(Info, "server %s and node %s run as processes of their own", s.code.Addr, s.nodeUID[:8])
	if err := s.pin(s.Alice, false); err != nil {
		return err
	}
	t.say(Info, "server pinned by its key, for ciphertext only: it has proved nothing yet")
	p, err := s.Alice.NewProject(ctx, ProjectName, ServerName)
	if err != nil {
		return err
	}
	s.project = p
	if err := s.addAssets(ctx, t, sink); err != nil {
		return err
	}
	if err := s.readBack(ctx, t, sink); err != nil {
		return err
	}
	return s.searchServer(ctx, t, sink)
}

func (s *Stage) addAssets(ctx context.Context, t *teller, sink progress.Sink) error {
	s.truth = assets.WDBC()
	for _, f := range []struct {
		name string
		kind project.Kind
		body []byte
	}{{dataName, project.Dataset, s.truth}, {modelName, project.Model, assets.Model()}} {
		path := s.path("alice", f.name)
		if err := os.WriteFile(path, f.body, 0o600); err != nil {
			return err
		}
		it, err := s.Alice.AddFile(ctx, s.project, path, f.kind, sink)
		if err != nil {
			return err
		}
		if f.kind == project.Dataset {
			t.say(Good, "sealed %s: %d rows × %d features and the diagnosis, %d bytes, epoch %d", it.Name, it.Rows, it.Columns-1, it.Size, it.Epoch)
			t.figure("rows", it.Rows)
			t.figure("features", it.Columns-1)
			t.figure("bytes", it.Size)
			if err := t.must(it.Rows == 569 && it.Columns == 31, "it is the Wisconsin diagnostic breast cancer set"); err != nil {
				return err
			}
			continue
		}
		t.say(Good, "sealed %s: %d bytes", it.Name, it.Size)
	}
	return nil
}

// readBack opens the project anew, from what the server holds and the vault
// remembers.
func (s *Stage) readBack(ctx context.Context, t *teller, sink progress.Sink) error {
	p, err := s.Alice.Project(ctx, ProjectName)
	if err != nil {
		return err
	}
	s.project = p
	it, err := p.Item(dataName)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := p.Read(ctx, it, &b, sink); err != nil {
		return err
	}
	return t.must(bytes.Equal(b.Bytes(), s.truth), "opened again from the server's ciphertext: identical")
}

// searchServer looks through everything that the server keeps for names and
// values of the dataset; the same search finds names and rows in Alice's copy.
func (s *Stage) searchServer(ctx context.Context, t *teller, sink progress.Sink) error {
	marks, err := markers(s.truth)
	if err != nil {
		return err
	}
	sink.Phase("search the server's disk", 0, progress.Bytes)
	found, files, n, err := search(ctx, s.config.DataDir, marks, sink)
	if err != nil {
		return err
	}
	t.figure("markers", len(marks))
	t.figure("server_files", files)
	t.figure("server_bytes", n)
	t.figure("markers_found", len(found))
	text := asText(marks)
	control, _, _, err := search(ctx, s.path("alice"), text, progress.Discard{})
	if err != nil {
		return err
	}
	if err := t.must(len(control) == len(text), "control: the same search finds all %d names and rows in the clear files", len(control)); err != nil {
		return err
	}
	return t.must(len(found) == 0 && files > 0 && n > int64(len(s.truth)),
		"none of them in the %d files, %d bytes, that the server keeps, nor %d values as binary numbers", files, n, len(marks)-len(text))
}

// asText are the markers that stand in the clear files as they are: names and
// rows. The others are values as a program would hold them.
func asText(marks map[string][]byte) map[string][]byte {
	out := map[string][]byte{}
	for what, m := range marks {
		if !strings.Contains(what, "as float") && what != "project name" {
			out[what] = m
		}
	}
	return out
}

// markers are byte strings that give the dataset away: names, column titles,
// values as they stand in the file, and values as floating-point bytes.
func markers(csv []byte) (map[string][]byte, error) {
	tab, err := dataset.ReadCSV(dataName, bytes.NewReader(csv))
	if err != nil {
		return nil, err
	}
	m := map[string][]byte{"project name": []byte(ProjectName), "file name": []byte(dataName), "model name": []byte(modelName)}
	for _, c := range tab.Columns {
		if len(c) >= 8 {
			m["column "+c] = []byte(c)
		}
	}
	lines := strings.Split(string(csv), "\n")
	for i := 1; i < len(tab.Rows); i += 40 {
		m[fmt.Sprintf("row %d as text", i)] = []byte(lines[i][:24])
		m[fmt.Sprintf("row %d as float64", i)] = binary.LittleEndian.AppendUint64(nil, math.Float64bits(tab.Rows[i][3]))
		m[fmt.Sprintf("row %d as float32", i)] = binary.LittleEndian.AppendUint64(nil,
			uint64(math.Float32bits(float32(tab.Rows[i][3])))|uint64(math.Float32bits(float32(tab.Rows[i][4])))<<32)
	}
	return m, nil
}
