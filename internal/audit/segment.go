package audit

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// flush writes what waits. With sync it returns only once that is safely on disk. A failure leaves what was not written
// for the next attempt; it is counted, and logged once until writing works again.
func (l *Log) flush(sync bool) error {
	l.io.Lock()
	defer l.io.Unlock()
	err := l.write()
	if err == nil {
		l.take() // what came while older lines were written, at most once: the rest can wait
		err = l.write()
	}
	if err == nil && sync && l.file != nil {
		err = l.file.Sync()
	}
	l.report(err)
	return err
}

// take moves what waits into unwritten, once that is empty.
func (l *Log) take() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.unwritten) == 0 {
		l.unwritten, l.pending = l.pending, l.unwritten[:0]
	}
}

func (l *Log) write() error {
	if len(l.unwritten) > 0 || l.file == nil {
		if err := l.attach(); err != nil {
			return err
		}
	}
	rest := l.unwritten
	defer func() { l.unwritten = rest[:len(rest):len(rest)] }()
	for len(rest) > 0 {
		n := fit(rest, l.o.MaxSize-l.size)
		if n == 0 && l.size > 0 {
			if err := l.rotate(); err != nil {
				return err
			}
			continue
		}
		n = max(n, bytes.IndexByte(rest, '\n')+1) // a line that is longer than a whole file may be
		if _, err := l.file.Write(rest[:n]); err != nil {
			return errors.Join(err, l.cutBack())
		}
		l.size += int64(n)
		l.head = headOf(rest[:n])
		rest = rest[n:]
	}
	return nil
}

// fit is how many bytes of whole lines have room.
func fit(lines []byte, room int64) int {
	if int64(len(lines)) <= room {
		return len(lines)
	}
	return bytes.LastIndexByte(lines[:max(room, 0)], '\n') + 1
}

// headOf is the hash of the last of some lines.
func headOf(lines []byte) string {
	end := len(lines) - len(lineEnd)
	return string(lines[end-hexLen : end])
}

// cutBack takes half a line off again that a failed write left. Where that fails too, the file is opened anew.
func (l *Log) cutBack() error {
	if l.file.Truncate(l.size) == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	return err
}

func (l *Log) report(err error) {
	l.mu.Lock()
	l.stats.Failing = err != nil
	if err != nil {
		l.stats.Failures++
	}
	lost := l.stats.Lost
	l.mu.Unlock()
	switch {
	case err != nil && !l.failing:
		l.o.Log.Error("the audit trail can't be written; lines wait in memory, and are lost once there are too many", "file", l.o.File, "error", err.Error())
	case err == nil && l.failing:
		l.o.Log.Info("the audit trail is written again", "file", l.o.File, "lost", lost)
	}
	l.failing = err != nil
}

// attach sees to it that the open file is the one that bears the name: it may have been moved away, or written to by
// somebody else.
func (l *Log) attach() error {
	if l.file != nil {
		ours, err1 := l.file.Stat()
		named, err2 := os.Stat(l.o.File)
		if err1 == nil && err2 == nil && os.SameFile(ours, named) && ours.Size() == l.size {
			return nil
		}
		l.o.Log.Error("the audit file was moved or changed by somebody else; it is opened anew", "file", l.o.File)
		l.file.Close() // its lines are written; nothing else can be done about it
		l.file = nil
	}
	return l.open()
}

// open opens the file at its end, for its owner alone. What stands after its last whole line is set aside.
func (l *Log) open() error {
	f, err := os.OpenFile(l.o.File, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	end, err := l.prepare(f)
	if err != nil {
		f.Close()
		return err
	}
	l.file, l.size = f, end
	return nil
}

func (l *Log) prepare(f *os.File) (end int64, err error) {
	if err := f.Chmod(0o600); err != nil {
		return 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if end, err = lineStart(f, info.Size()); err != nil || end == info.Size() {
		return end, err
	}
	return end, l.setAside(f, end, info.Size())
}

// setAside moves what a crash left of a line into a file of its own.
func (l *Log) setAside(f *os.File, from, to int64) error {
	name := fmt.Sprintf("%s.torn-%s", l.o.File, l.o.Now().UTC().Format("20060102T150405.000000000Z"))
	out, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, io.NewSectionReader(f, from, to-from))
	if err := errors.Join(err, out.Sync(), out.Close()); err != nil {
		return err
	}
	l.o.Log.Warn("the audit file ended in half a line, as a crash leaves it; it was set aside", "file", l.o.File, "aside", name, "bytes", to-from)
	return errors.Join(f.Truncate(from), f.Sync())
}

// lineStart is the place after the last line end before at; 0 where there is none.
func lineStart(f io.ReaderAt, at int64) (int64, error) {
	block := make([]byte, 64<<10)
	for at > 0 {
		n := min(at, int64(len(block)))
		if _, err := f.ReadAt(block[:n], at-n); err != nil {
			return 0, err
		}
		if i := bytes.LastIndexByte(block[:n], '\n'); i >= 0 {
			return at - n + int64(i) + 1, nil
		}
		at -= n
	}
	return 0, nil
}

// rotate gives the full file its number, and begins the next one.
func (l *Log) rotate() error {
	full, err := segments(l.o.File)
	if err != nil {
		return err
	}
	number := 1
	if len(full) > 0 {
		number = full[len(full)-1].number + 1
	}
	if err := l.file.Sync(); err != nil {
		return err
	}
	name := fmt.Sprintf("%s.%06d", l.o.File, number)
	if err := os.Rename(l.o.File, name); err != nil {
		return err
	}
	l.file.Close() // synced
	l.file = nil
	l.o.Log.Info("audit file full, the next begins", "file", name, "head", l.head)
	for len(full)+1 > l.o.Keep {
		if err := os.Remove(full[0].name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		full = full[1:]
	}
	return l.open()
}

// segment is a full file.
type segment struct {
	name   string
	number int
}

// segments are the full files, oldest first; none where the folder is not there.
func segments(file string) ([]segment, error) {
	entries, err := os.ReadDir(filepath.Dir(file))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []segment
	for _, e := range entries {
		suffix, ok := strings.CutPrefix(e.Name(), filepath.Base(file)+".")
		if n, err := strconv.Atoi(suffix); ok && err == nil && n > 0 && len(suffix) >= 6 {
			out = append(out, segment{filepath.Join(filepath.Dir(file), e.Name()), n})
		}
	}
	slices.SortFunc(out, func(a, b segment) int { return cmp.Compare(a.number, b.number) })
	return out, nil
}

// Files are the files of a trail that are there, oldest first: the full ones, then the one that is written to.
func Files(file string) ([]string, error) {
	full, err := segments(file)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, s := range full {
		names = append(names, s.name)
	}
	if _, err := os.Stat(file); err == nil {
		names = append(names, file)
	}
	return names, nil
}

// resume finds the last line there is and goes on from it.
func (l *Log) resume() error {
	if err := os.MkdirAll(filepath.Dir(l.o.File), 0o700); err != nil {
		return err
	}
	names, err := Files(l.o.File)
	if err != nil {
		return err
	}
	for _, name := range slices.Backward(names) {
		text, err := lastLine(name)
		if err != nil {
			return err
		}
		if text == nil {
			continue
		}
		last, err := read(text)
		if err != nil {
			// A chain can't go on from a line that nobody vouches for. What follows begins a new one, and Verify shows the break.
			l.o.Log.Error("the last line of the audit trail is not sound; a new chain begins after it", "file", name, "error", err.Error())
			break
		}
		l.chain = chain{seq: last.seq, hash: last.hash}
		l.head = last.hash
		break
	}
	if err := l.open(); err != nil {
		return err
	}
	l.o.Log.Info("audit trail opened", "file", l.o.File, "seq", l.chain.seq, "head", l.chain.prev())
	return nil
}

// lastLine is the last whole line of a file; nil where there is none.
func lastLine(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	end, err := lineStart(f, info.Size())
	if err != nil || end == 0 {
		return nil, err
	}
	begin, err := lineStart(f, end-1)
	if err != nil {
		return nil, err
	}
	text := make([]byte, end-1-begin)
	_, err = f.ReadAt(text, begin)
	return text, err
}
