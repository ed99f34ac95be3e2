function handle(msg)
  return { Output = msg.Data }
end
