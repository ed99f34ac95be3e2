written = { at = "once" }

function handle()
  return { Output = written.at }
end
