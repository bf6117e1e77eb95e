namespace Qkv.App.Output;

/// <summary>
/// A standard stream of the process. What cannot be written is an error that names the stream; of messages it is lost, as there is nobody
/// to tell, and the results do not suffer for it.
/// </summary>
internal sealed class StandardStream(Stream inner, bool isForMessages) : Stream
{
    public override bool CanRead => false;

    public override bool CanSeek => false;

    public override bool CanWrite => true;

    public override long Length => throw new NotSupportedException();

    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

    public override void Write(ReadOnlySpan<byte> buffer)
    {
        try
        {
            inner.Write(buffer);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The code stays: a broken pipe is no failure.
            if (!isForMessages) throw new IOException($"Standard output cannot be written: {e.Message}", e.HResult);
        }
    }

    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    public override void Flush()
    {
    }

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();
}
